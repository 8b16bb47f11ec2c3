//go:build !linux

package netpoll

import (
	"errors"
	"net"
)

const haveEpoll = false

func newEpollPoller(Config, net.Listener, AcceptFunc, Worker) (poller, error) {
	return nil, errors.ErrUnsupported
}

// tuneConn sets what a socket's defaults lack, which there is nothing of here.
func tuneConn(net.Conn, Config) {}
