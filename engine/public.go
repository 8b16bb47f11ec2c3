package engine

import (
	"encoding/json"
	"errors"
	"net/http"
)

// publicHTTP answers the plain HTTP requests of the public listener (PROTOCOL §1).
func (e *Engine) publicHTTP() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		// Why it is not ready is for operators, on the admin port.
		switch err := e.notReady(); {
		case errors.Is(err, errDraining):
			writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "draining"})
		case err != nil:
			writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not_ready"})
		default:
			writeJSON(w, http.StatusOK, map[string]any{"status": "ready"})
		}
	})
	mux.HandleFunc(pathRefresh, e.refresh)
	if e.cfg.Trading.Enabled {
		e.tradingHTTP(mux)
	}
	mux.HandleFunc("/wse", upgradeRequired)
	mux.HandleFunc("/ws", upgradeRequired)
	mux.HandleFunc("/{$}", upgradeRequired)
	return mux
}

// upgradeRequired answers a plain request to a WebSocket endpoint (RFC 9110 §15.5.22).
func upgradeRequired(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	http.Error(w, "this is a WebSocket endpoint; connect with a WebSocket client", http.StatusUpgradeRequired)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	writeBody(w, status, "application/json", body)
}

func writeBody(w http.ResponseWriter, status int, kind string, body any) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone
}
