"""Schedules of contractions: how sums of products are cut into blocks that fit caches and tiles that fit registers.

letters         the axes of the operands sorted into rows (m), columns (n), sums (k) and loops around; neighbours merged
tiles           sizes of tiles and blocks, from a cost model of the target
packing         operands copied so that tiles read them in order
micro_kernel    one tile of sums in registers
nest            the loops around it
row_times_matrix    products with a single row, at the speed of memory
"""
