package message

// Tick is one price of a symbol: what a publication of [TypeMarketData] holds, and a row of a collection. A tick that
// package market or collection hands out has a good symbol, a price that is finite and above zero, and volumes that are
// finite and not negative.
type Tick struct {
	Symbol      string
	TimeMS      int64   // Unix milliseconds, in the years 0 to 9999
	Price       float64 // in quote currency
	Volume      float64 // in base currency
	QuoteVolume float64 // in quote currency
}
