package plugin

import "testing"

// BenchmarkRedact cleans a document of 300 bytes.
func BenchmarkRedact(b *testing.B) {
	doc := []byte(`{"type":"BrokerAccountLinked","payload":{"broker_account_id":"acc_1234567","broker_id":"alpaca",` +
		`"account_number":"PA1234567","status":"linked","currency":"USD","buying_power":50000.00,"cash":25000.00` +
		`},"user_id":"u1","id":"evt_acc_001","ts":"2025-11-25T10:00:00.000Z","cid":"req-77","event_version":2}`)
	out, names := make([]byte, 0, 512), []string{"token", "password", "account_number"}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		redact(out, doc, names)
	}
}
