module github.com/wse-engine/wse/test/bench

go 1.26.0

replace github.com/wse-engine/wse => ../..

require (
	github.com/gorilla/websocket v1.5.3
	github.com/stretchr/testify v1.12.1
	golang.org/x/sys v0.49.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
