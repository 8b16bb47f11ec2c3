package meter

// Each returns o with every instruction charged when it runs: the true price of a run, for tests to compare with.
func Each(o Options) Options {
	o.each = true
	return o
}

// FoldMax is how much a run may be charged too much for each charge it passes.
const FoldMax = foldMax
