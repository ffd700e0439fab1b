"""The whole product on real input: what a user does on the command line, from an HR file to a domain and back."""
