"""What a program is: types, values, ops, functions, modules; how they are built, printed, verified and interpreted."""
