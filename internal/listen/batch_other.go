//go:build !linux

package listen

import "net"

// many is for Linux.
type many struct{}

func newMany(*net.UDPConn) (*many, error) { return nil, nil }

func (*many) next(func([]byte)) ([][]byte, error) { return nil, nil }

func (*many) close() error { return nil }
