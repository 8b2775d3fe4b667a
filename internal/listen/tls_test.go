package listen

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/plugin/plugintest"
)

// An issuer signs certificates.
type issuer struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, cert, key, 2}
}

// pem returns the certificate of the issuer.
func (i *issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

// pool returns who trusts the issuer.
func (i *issuer) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.cert)
	return pool
}

// sign returns a certificate for 127.0.0.1 and its key, PEM.
func (i *issuer) sign(name string, until time.Time, usage x509.ExtKeyUsage) (cert, key []byte) {
	i.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.next++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(i.next), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, i.cert, k.Public(), i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		i.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})
}

// server writes the files of a server that asks for certificates of clients.
func (i *issuer) server(name string) TLS {
	i.t.Helper()
	dir := i.t.TempDir()
	files := TLS{filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")}
	i.renew(files, name)
	put(i.t, files.CAFile, i.pem())
	return files
}

// renew writes another certificate and key of the server.
func (i *issuer) renew(files TLS, name string) {
	i.t.Helper()
	cert, key := i.sign(name, time.Now().Add(time.Hour), x509.ExtKeyUsageServerAuth)
	put(i.t, files.CertFile, cert)
	put(i.t, files.KeyFile, key)
}

// put writes a file in one step, as whoever renews certificates does.
func put(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// client returns the certificate of a client.
func (i *issuer) client(until time.Time) tls.Certificate {
	i.t.Helper()
	pair, err := tls.X509KeyPair(i.sign("client", until, x509.ExtKeyUsageClientAuth))
	if err != nil {
		i.t.Fatal(err)
	}
	return pair
}

// logged waits until something is logged, which may be after the client has heard of it.
func logged(t *testing.T, j *texttest.Buffer, want string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(j)
		}
	}()
	plugintest.Until(t, "a log with "+want, func() bool { return j.Count(want) > 0 })
}

// visits opens a socket behind a gate, whose visitors are told ok and heard to their end, and returns it.
func visits(t *testing.T, d Door, entry string) Socket {
	t.Helper()
	sockets, err := d.Open(t.Context(), []string{entry})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		NewGate(10, d.Log).Visits(t.Context(), sockets[0].Streams, func(c net.Conn) {
			_, _ = io.WriteString(c, "ok")
			_, _ = io.Copy(io.Discard, c)
		})
	}()
	t.Cleanup(func() { <-over })
	return sockets[0]
}

// enter connects and returns the name that the server has, once it has said ok.
func enter(t *testing.T, s Socket, client *tls.Config) (name string, err error) {
	t.Helper()
	raw, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(time.Minute))
	c := tls.Client(raw, client)
	said := make([]byte, 2)
	if _, err := io.ReadFull(c, said); err != nil { // TLS 1.3 tells of a refusal here
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestMutualTLS(t *testing.T) {
	ours, theirs := newIssuer(t), newIssuer(t)
	var j texttest.Buffer
	s := visits(t, Door{Schemes: []string{"tcp"}, TLS: ours.server("first"), Log: j.Logger()}, "tcp://127.0.0.1:0")
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	trust := func(pairs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ours.pool(), ServerName: "127.0.0.1", Certificates: pairs}
	}
	if name, err := enter(t, s, trust(ours.client(later))); err != nil || name != "first" {
		t.Errorf("%q, %v", name, err)
	}
	server, err := tls.X509KeyPair(ours.sign("other server", later, x509.ExtKeyUsageServerAuth))
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, c *tls.Config) {
		t.Helper()
		if _, err := enter(t, s, c); err == nil {
			t.Errorf("%s gets in", what)
		}
	}
	force := func(pair tls.Certificate) *tls.Config { // shown even where the server does not want it
		c := trust()
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		return c
	}
	f("nobody", trust())
	logged(t, &j, `level=WARN msg="connection refused" listen=127.0.0.1:`)
	logged(t, &j, "client didn't provide a certificate") // before others, for one in a second is told
	f("who is of another issuer", force(theirs.client(later)))
	f("who was known until a minute ago", force(ours.client(past)))
	f("another server", force(server))
	old := trust(ours.client(later))
	old.MaxVersion = tls.VersionTLS11
	f("who speaks an old TLS", old)
	f("who trusts others", &tls.Config{RootCAs: theirs.pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{ours.client(later)}})

	plain, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_, _ = io.WriteString(plain, "page.views:1|c\n")
	if text, _ := io.ReadAll(plain); bytes.Contains(text, []byte("ok")) {
		t.Error("who speaks no TLS gets in")
	}
}

// Certificates that are renewed are taken without a start, and those that cannot be read change nothing.
func TestRenewedCertificates(t *testing.T) {
	ours, theirs := newIssuer(t), newIssuer(t)
	var j texttest.Buffer
	files := ours.server("first")
	s := visits(t, Door{Schemes: []string{"tcp"}, TLS: files, Log: j.Logger()}, "tcp://127.0.0.1:0")
	hour := time.Now().Add(time.Hour)
	known := &tls.Config{RootCAs: ours.pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{ours.client(hour)}, ClientSessionCache: tls.NewLRUClientSessionCache(10)}
	f := func(want string) {
		t.Helper()
		if name, err := enter(t, s, known); err != nil || name != want {
			t.Errorf("%q, %v; want %q", name, err, want)
		}
	}
	f("first")
	ours.renew(files, "second")
	f("second")

	cert, key := ours.sign("third", hour, x509.ExtKeyUsageServerAuth)
	put(t, files.CertFile, cert) // its key is still on the way
	f("second")
	if err := os.Remove(files.KeyFile); err != nil {
		t.Fatal(err)
	}
	f("second")
	put(t, files.KeyFile, key)
	f("third")
	put(t, files.CAFile, []byte("nothing"))
	f("third")
	if text := j.String(); !strings.Contains(text, `msg="certificates that have changed cannot be read: the old ones hold"`) {
		t.Errorf("log: %s", text)
	}

	put(t, files.CAFile, theirs.pem()) // who is known changes at once, also for those that have a session
	if _, err := enter(t, s, known); err == nil {
		t.Error("who is no longer known gets in")
	}
	known.Certificates = []tls.Certificate{theirs.client(hour)}
	f("third")
}

func TestTLSCheck(t *testing.T) {
	f := func(c TLS, want string, entries ...string) {
		t.Helper()
		if got := errors.Join(c.Check(entries)...); want == "" && got != nil || want != "" && (got == nil || got.Error() != want) {
			t.Errorf("%v, want %s", got, want)
		}
	}
	f(TLS{}, "", "udp://:1")
	f(TLS{"c", "k", "a"}, "", "udp://:1", "tcp://:1")
	f(TLS{"c", "k", ""}, "", "grpc://:1")
	f(TLS{"c", "", ""}, `cert_file "c" and key_file "": give both or none`, "tcp://:1")
	f(TLS{"", "k", "a"}, `cert_file "" and key_file "k": give both or none`, "tcp://:1")
	f(TLS{"", "", "a"}, `ca_file "a": without TLS nobody shows a certificate: give cert_file and key_file too`, "tcp://:1")
	f(TLS{"c", "k", ""}, `cert_file "c": listen has no address of TCP, and nothing would be encrypted: add one, or remove it`, "udp://:1", "unix:///a", "unixstream:///b")
}

// Files that say nothing end the start, with their setting and path.
func TestTLSFiles(t *testing.T) {
	good := newIssuer(t).server("s")
	other := newIssuer(t).server("s")
	empty := filepath.Join(t.TempDir(), "empty")
	put(t, empty, nil)
	f := func(files TLS, want string) {
		t.Helper()
		sockets, err := Door{Schemes: []string{"tcp"}, TLS: files, Log: slog.New(slog.DiscardHandler)}.Open(t.Context(), []string{"tcp://127.0.0.1:0"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
			_ = Close(sockets)
		}
	}
	f(TLS{good.CertFile + "x", good.KeyFile, ""}, "cert_file: stat "+good.CertFile+"x: no such file")
	f(TLS{good.CertFile, good.KeyFile + "x", ""}, "key_file: stat "+good.KeyFile+"x: no such file")
	f(TLS{good.CertFile, good.KeyFile, good.CAFile + "x"}, "ca_file: stat "+good.CAFile+"x: no such file")
	f(TLS{good.CertFile, other.KeyFile, ""}, "private key does not match public key")
	f(TLS{good.KeyFile, good.CertFile, ""}, "PEM inputs may have been switched")
	f(TLS{good.CertFile, good.KeyFile, empty}, "ca_file: "+empty+" has no certificate in it: want PEM")
}

// What lets anybody in says so at the start, once.
func TestWarnings(t *testing.T) {
	files := newIssuer(t).server("s")
	token := Access{BearerToken: "t"}
	f := func(d Door, entry, want string) {
		t.Helper()
		var j texttest.Buffer
		d.Schemes, d.Log = []string{"tcp", "udp", "http", "grpc"}, j.Logger()
		sockets, err := d.Open(t.Context(), []string{entry})
		if err != nil {
			t.Fatal(err)
		}
		if err := Close(sockets); err != nil {
			t.Error(err)
		}
		var warnings []string
		for line := range strings.Lines(j.String()) {
			if strings.Contains(line, "level=WARN") {
				warnings = append(warnings, line)
			}
		}
		if want == "" && len(warnings) > 0 || want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], want)) {
			t.Errorf("%s: %q, want %q", entry, warnings, want)
		}
	}
	const anybody = `msg="anybody who reaches this address can send points" listen=`
	mutual := Door{TLS: files}
	sealedOnly := Door{TLS: TLS{CertFile: files.CertFile, KeyFile: files.KeyFile}}
	for _, scheme := range []string{"tcp", "udp", "http", "grpc"} {
		f(Door{}, scheme+"://127.0.0.1:0", "")
		f(Door{}, scheme+"://:0", anybody)
		f(sealedOnly, scheme+"://:0", anybody)
	}
	f(mutual, "udp://:0", "datagrams carry no password")
	f(Door{Access: token}, "tcp://:0", "set cert_file, key_file and ca_file")
	f(Door{}, "http://0.0.0.0:0", "set bearer_token, username and password, or ca_file")
	for _, scheme := range []string{"http", "grpc"} {
		f(Door{Access: token}, scheme+"://:0", "tokens and passwords come unencrypted")
		f(Door{Access: token, TLS: sealedOnly.TLS}, scheme+"://:0", "")
		f(mutual, scheme+"://:0", "")
	}
	f(mutual, "tcp://:0", "")
}

// A whole list of addresses is opened or none of it.
func TestOpenAllOrNone(t *testing.T) {
	d := Door{Schemes: []string{"tcp"}, Log: slog.New(slog.DiscardHandler)}
	path := filepath.Join(t.TempDir(), "s")
	d.Schemes = append(d.Schemes, "unixstream")
	_, err := d.Open(t.Context(), []string{"unixstream://" + path, "tcp://192.0.2.1:1"})
	if err == nil || !strings.Contains(err.Error(), `listen "tcp://192.0.2.1:1": `) || !strings.Contains(err.Error(), "this machine does not have that address") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the first one is still open")
	}
}
