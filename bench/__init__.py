"""The benchmark: what each step costs, beside what the same work costs without us. Started by `script/bench`."""
