"""The board: which methods are really better and what each cost, made from the cell files of a run and nothing else."""
