package main

import (
	"encoding/json"

	"github.com/spf13/cobra"
)

// outgoing is what event and publish send, in the words of the admin API (PROTOCOL §1, §2.8).
type outgoing struct {
	Type    string          `json:"type,omitempty"`
	T       string          `json:"t,omitempty"`
	Topic   string          `json:"topic,omitempty"`
	UserID  string          `json:"user_id,omitempty"`
	P       json.RawMessage `json:"p,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
	ID      string          `json:"id,omitempty"`
	Pri     int             `json:"pri,omitempty"`
	CID     string          `json:"cid,omitempty"`
}

// flags adds the flags that event and publish share.
func (o *outgoing) flags(cmd *cobra.Command, payload *string, asJSON *bool) {
	f := cmd.Flags()
	f.StringVar(payload, "payload", "{}", "payload as a `JSON` object, @FILE, or - for standard input")
	f.StringVar(&o.ID, "id", "", "`ID` of the message; the engine drops a second one with the same id (default: it makes one)")
	f.IntVar(&o.Pri, "pri", 0, "priority `N`, 1 to 10 (default: that of the topic's class)")
	f.StringVar(&o.CID, "cid", "", "correlation `ID`")
	f.BoolVar(asJSON, "json", false, "print the engine's answer as it is")
}

// check refuses what the engine would.
func (o *outgoing) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("pri") && (o.Pri < 1 || o.Pri > 10) {
		return misused(cmd, "--pri: %d is not between 1 and 10", o.Pri)
	}
	return nil
}

func newEvent(g *globals) *cobra.Command {
	var o outgoing
	var payload string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "event TYPE",
		Short: "Hand in a domain event",
		Long: `Hand a domain event to the engine's admin API. The transform plugins turn it into envelopes; for each one a line
with topic, seq, epoch and id is printed.`,
		Example: `  wse event BrokerAccountLinked --user u1 --payload '{"broker_account_id":"acc_123","status":"linked"}'
  wse event OrderPlaced --user u1 --payload @order.json --id ord_1-placed
  echo '{"a":1}' | wse event SomethingHappened --topic public:news --payload -`,
		Args: exactly("TYPE"),
	}
	o.flags(cmd, &payload, &asJSON)
	cmd.Flags().StringVar(&o.UserID, "user", "", "user `ID` whose event it is")
	cmd.Flags().StringVar(&o.Topic, "topic", "", "`TOPIC` it goes to, where that is not left to the plugins")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o.Type = args[0]
		if o.UserID == "" && o.Topic == "" {
			return misused(cmd, "--user or --topic is missing")
		}
		if err := o.check(cmd); err != nil {
			return err
		}
		if o.Payload, err = g.document(cmd, "--payload", payload); err != nil {
			return err
		}
		return g.send(cmd.Context(), "/api/v1/events", &o, asJSON)
	}
	return cmd
}

func newPublish(g *globals) *cobra.Command {
	var o outgoing
	var payload string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "publish TOPIC",
		Short: "Publish an envelope",
		Long: `Publish an envelope to a topic through the engine's admin API, past the transform plugins. A line with topic,
seq, epoch and id is printed.`,
		Example: `  wse publish user:u1:order_events --type order_update --payload '{"order_id":"ord_1","status":"filled"}' --pri 10
  wse publish public:news --type headline --payload @headline.json`,
		Args: exactly("TOPIC"),
	}
	o.flags(cmd, &payload, &asJSON)
	cmd.Flags().StringVar(&o.T, "type", "", "`TYPE` of the message, its t (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o.Topic = args[0]
		if o.T == "" {
			return misused(cmd, "--type is missing")
		}
		if err := o.check(cmd); err != nil {
			return err
		}
		if o.P, err = g.document(cmd, "--payload", payload); err != nil {
			return err
		}
		return g.send(cmd.Context(), "/api/v1/publish", &o, asJSON)
	}
	return cmd
}
