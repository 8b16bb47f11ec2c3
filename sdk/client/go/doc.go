// Package client is a Go client of protocol v2: it subscribes to topics and hands over what is published to them, and goes
// on where it stopped when the connection is lost.
//
//	c, err := client.New(client.Config{URL: "http://127.0.0.1:8080", Token: client.StaticToken(token),
//		Topics: []string{"user:u1:order_events"}})
//	if err != nil { … }
//	err = c.Run(ctx, func(p client.Publication) error {
//		fmt.Println(string(p.Raw))
//		return nil
//	})
//
// Order: the publications of one topic come in the order of their offsets, each once, across losses of the connection, as
// long as the server still has what was missed; where it has not, [Config.OnNotice] is told.
//
// Ownership: everything happens in the goroutine that calls [Client.Run], handlers included. Only [Client.Position] may be
// called from another.
package client
