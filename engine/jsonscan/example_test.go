package jsonscan_test

import (
	"fmt"

	"github.com/wse-engine/wse/engine/jsonscan"
)

func ExampleMembers() {
	it := jsonscan.Members([]byte(`{"t":"subscription_update","p":{"topics":["a","b"]}}`))
	for it.Next() {
		fmt.Printf("%s = %s\n", it.Key(), it.Value())
	}
	if err := it.Err(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// t = "subscription_update"
	// p = {"topics":["a","b"]}
}

func ExampleValid() {
	fmt.Println(jsonscan.Valid([]byte(`{"t":"ping",}`), jsonscan.DepthMax))
	// Output:
	// jsonscan: unexpected byte, a key is missing at byte 12
}
