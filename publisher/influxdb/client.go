package influxdb

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	dialTime  = 10 * time.Second
	idleTime  = 90 * time.Second
	idleConns = 16 // more than calls are ever in parallel by sense
)

// A client speaks to one server. It uses the transport itself: that follows no redirect, so credentials go nowhere else,
// and its errors do not repeat the URL.
type client struct {
	at        endpoint
	transport *http.Transport
	pack      bool
	request   *http.Request // what all writes have in common
	messages  sync.Pool     // of *message
}

func newClient(cfg Config) (*client, error) {
	at, err := newEndpoint(cfg)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: cfg.InsecureSkipVerify}
	if cfg.CAFile != "" {
		if trust.RootCAs, err = readCAs(cfg.CAFile); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	pack := cfg.Compression == gzipped || cfg.Compression == auto && !at.local
	if pack {
		at.header.Set("Content-Encoding", "gzip")
	}
	return &client{
		at: at, pack: pack,
		request: &http.Request{Method: http.MethodPost, URL: at.write, Host: at.write.Host, Header: at.header},
		transport: &http.Transport{
			DialContext:         dial,
			TLSClientConfig:     trust,
			TLSHandshakeTimeout: dialTime,
			IdleConnTimeout:     idleTime,
			MaxIdleConnsPerHost: idleConns,
			DisableCompression:  true, // of answers, which are short
		},
	}, nil
}

func readCAs(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in it: want PEM", path)
	}
	return pool, nil
}

// A message is the memory of one request.
type message struct {
	text    []byte
	packed  bytes.Buffer
	zip     *gzip.Writer
	readers atomic.Int32 // who read it still
}

func (c *client) message() *message {
	if m, ok := c.messages.Get().(*message); ok {
		return m
	}
	return new(message)
}

// keptText is how much memory is kept for the next request.
const keptText = 4 << 20

// release gives m back. The transport may go on reading a body when the answer has come already: such a message is left to
// the garbage collector, and so is a large one.
func (c *client) release(m *message) {
	if m.readers.Load() == 0 && cap(m.text) <= keptText {
		c.messages.Put(m)
	}
}

// body returns what is to be sent of m.
func (c *client) body(m *message) ([]byte, error) {
	if !c.pack {
		return m.text, nil
	}
	if m.readers.Load() > 0 {
		m.packed = bytes.Buffer{} // the memory is still theirs
	}
	m.packed.Reset()
	if m.zip == nil {
		m.zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one
	}
	m.zip.Reset(&m.packed)
	if _, err := m.zip.Write(m.text); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := m.zip.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return m.packed.Bytes(), nil
}

// A reader is a body on its way. It counts as one of the message's until it is closed.
type reader struct {
	bytes.Reader
	of     *message
	closed atomic.Bool
}

func (m *message) open(body []byte) io.ReadCloser {
	r := &reader{of: m}
	r.Reset(body)
	m.readers.Add(1)
	return r
}

func (r *reader) Close() error {
	if !r.closed.Swap(true) {
		r.of.readers.Add(-1)
	}
	return nil
}

// send writes the text of m and returns what the server says to it.
func (c *client) send(ctx context.Context, m *message) error {
	body, err := c.body(m)
	if err != nil {
		return err
	}
	req := c.request.WithContext(ctx)
	req.ContentLength = int64(len(body))
	req.Body = m.open(body)
	// With this the transport sends again when a kept connection turns out to be closed.
	req.GetBody = func() (io.ReadCloser, error) { return m.open(body), nil }
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("write to %s: %w", c.at.where, err)
	}
	defer resp.Body.Close()
	return c.at.judge(resp)
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

// A conn writes the rest of a reader at once and from where it is. By pieces of 32 KiB, as the transport would have it, a
// point costs a tenth more CPU.
type conn struct{ net.Conn }

// ReadFrom writes all of from. The transport calls it for the body of a request.
func (c conn) ReadFrom(from io.Reader) (int64, error) {
	if l, ok := from.(*io.LimitedReader); ok {
		if r, ok := l.R.(*reader); ok && int64(r.Len()) <= l.N {
			n, err := r.WriteTo(c.Conn)
			l.N -= n
			return n, err
		}
	}
	return io.Copy(c.Conn, from)
}
