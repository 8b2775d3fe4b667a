package listen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
)

// TLS is the settings of a listener that make its connections over TCP encrypted, and ask who connects for a certificate.
type TLS struct {
	CertFile string `json:"cert_file" jsonschema:"our certificate and those that lead to its issuer, PEM: all that comes by TCP is to be TLS then. It is read again when it changes"`
	KeyFile  string `json:"key_file" jsonschema:"the key of cert_file, PEM"`
	CAFile   string `json:"ca_file" jsonschema:"certificates, PEM: who comes by TCP has to have one that one of these has signed. It is read again when it changes"`
}

// Check reports what is wrong with t, for a listener at those addresses.
func (t TLS) Check(entries []string) (faults []error) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		faults = append(faults, fmt.Errorf("cert_file %q and key_file %q: give both or none", t.CertFile, t.KeyFile))
	}
	if t.CAFile != "" && t.CertFile == "" && t.KeyFile == "" {
		faults = append(faults, fmt.Errorf("ca_file %q: without TLS nobody shows a certificate: give cert_file and key_file too", t.CAFile))
	}
	if t.CertFile != "" && !anyEntry(entries, overTCP) {
		faults = append(faults, fmt.Errorf("cert_file %q: listen has no address of TCP, and nothing would be encrypted: add one, or remove it", t.CertFile))
	}
	return faults
}

// protocols are those that a client may choose from once the connection is encrypted, by scheme.
var protocols = map[string][]string{"http": {"h2", "http/1.1"}, "grpc": {"h2", "http/1.1"}}

// over returns l with TLS, and l itself where nothing is set.
func (t TLS) over(l net.Listener, scheme string, log *slog.Logger) (net.Listener, error) {
	if t.CertFile == "" {
		return l, nil
	}
	k := &keyring{files: t, next: protocols[scheme], log: log}
	if _, err := k.config(); err != nil {
		return nil, err
	}
	return &sealed{l, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.config() }}}, nil
}

// A sealed socket has connections of TLS.
type sealed struct {
	net.Listener
	config *tls.Config
}

// Accept returns the next connection, which is yet to shake hands.
func (s *sealed) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, s.config), nil
}

// A keyring holds what the files of a TLS say.
type keyring struct {
	files TLS
	next  []string
	log   *slog.Logger

	mu     sync.Mutex
	seen   []os.FileInfo // of the files, as they were when they were read
	read   *tls.Config
	faults Throttle
}

// config returns what a new connection needs. Files that have changed are read again; while they do not fit together, as when only
// the first of them has been written, what they said before holds.
func (k *keyring) config() (*tls.Config, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, err := k.files.stat()
	if err == nil && k.read != nil && same(now, k.seen) {
		return k.read, nil
	}
	var read *tls.Config
	if err == nil {
		read, err = k.files.load()
	}
	switch {
	case err != nil && k.read == nil:
		return nil, err
	case err != nil:
		if more, ok := k.faults.Pass(); ok {
			k.log.Warn("certificates that have changed cannot be read: the old ones hold", "error", err, "unreported", more)
		}
		return k.read, nil
	case k.read != nil:
		k.log.Info("certificates read again", "cert_file", k.files.CertFile)
	}
	read.NextProtos = k.next
	k.seen, k.read = now, read
	return read, nil
}

// stat looks at the files, in the order of those that are set.
func (t TLS) stat() (all []os.FileInfo, err error) {
	for _, f := range []struct{ key, path string }{{"cert_file", t.CertFile}, {"key_file", t.KeyFile}, {"ca_file", t.CAFile}} {
		if f.path == "" {
			continue
		}
		info, err := os.Stat(f.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.key, err)
		}
		all = append(all, info)
	}
	return all, nil
}

// same reports whether files are those that they were.
func same(now, then []os.FileInfo) bool {
	for i, f := range now {
		if !os.SameFile(f, then[i]) || f.Size() != then[i].Size() || !f.ModTime().Equal(then[i].ModTime()) {
			return false
		}
	}
	return true
}

// load reads the files.
func (t TLS) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("cert_file %q and key_file %q: %w", t.CertFile, t.KeyFile, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if t.CAFile == "" {
		return c, nil
	}
	text, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca_file: %s has no certificate in it: want PEM", t.CAFile)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.SessionTicketsDisabled = true // each connection shows its certificate, for it may have become worthless
	return c, nil
}
