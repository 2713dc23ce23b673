"""Schedules of contractions: how sums of products are cut into blocks that fit caches and tiles that fit registers.

letters             the axes of the operands sorted into rows (m), columns (n), sums (k) and loops around; neighbours merged
tiles               sizes of tiles and blocks, from a cost model of the target
plan                what is packed, and what threads share
packing             operands copied so that tiles read them in order
micro_kernel        sums of products in registers
tile                one tile: where its sums start from, and where they go
panels              the loops of one block of the summed axes: blocks of rows, panels of columns, tiles
nest                the loops around: batches, and blocks of the summed axes
row_times_matrix    products with a single row, at the speed of memory
convolution         convolutions as contractions of staged images; conv_places, conv_columns, conv_phases: where that is done otherwise
"""
