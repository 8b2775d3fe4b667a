package scrape

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/pacewire/pacewire/internal/decode/prometheus"
)

const (
	acceptNative = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7," + prometheus.Accept

	dialTime  = 5 * time.Second
	idleTime  = 90 * time.Second // of a connection between two scrapes, at least
	firstRoom = 64 << 10         // for an answer whose length is not known
)

// newClient returns what asks the targets.
func newClient(cfg Config, every time.Duration) (*http.Client, error) {
	trust, err := newTrust(cfg)
	if err != nil {
		return nil, err
	}
	proxy, err := newProxy(cfg.Proxy)
	if err != nil {
		return nil, err
	}
	return &http.Client{CheckRedirect: cfg.redirect, Transport: &http.Transport{
		Proxy:                  proxy,
		DialContext:            (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSClientConfig:        trust,
		TLSHandshakeTimeout:    dialTime,
		DisableCompression:     true, // fetch decompresses, with limits
		MaxIdleConnsPerHost:    4,    // several targets of one address
		IdleConnTimeout:        max(idleTime, 2*every),
		MaxResponseHeaderBytes: 64 << 10,
	}}, nil
}

// newProxy returns what tells the proxy of a request; nil: there is none.
func newProxy(text string) (func(*http.Request) (*url.URL, error), error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		return nil, errors.New("proxy_url: want a URL such as http://proxy:3128, https:// or socks5://")
	case u.User != nil:
		return nil, errors.New("proxy_url: take the name and the password out of it: a proxy that wants them cannot be used")
	}
	return http.ProxyURL(u), nil
}

// mostRedirects is how often an answer may send us elsewhere.
const mostRedirects = 10

// redirect decides whether to ask where an answer says. What the config has to tell is for the host that was asked first.
func (c Config) redirect(r *http.Request, before []*http.Request) error {
	switch {
	case !c.Redirects:
		return http.ErrUseLastResponse
	case len(before) > mostRedirects:
		return fmt.Errorf("redirected more than %d times", mostRedirects)
	}
	if r.URL.Host != before[0].URL.Host {
		r.Header.Del("Authorization")
		for name := range c.Headers {
			r.Header.Del(name)
		}
	}
	return nil
}

func newTrust(cfg Config) (*tls.Config, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName, InsecureSkipVerify: cfg.Insecure}
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("ca_file: %s has no certificate in it: want PEM", cfg.CAFile)
		}
	}
	if cfg.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile); err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		trust.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // it may be renewed
			pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
			return &pair, err
		}
	}
	return trust, nil
}

// fetch asks for the page of a target, which is in p.text then.
func (s *scraper) fetch(ctx context.Context, t *target, p *space) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.ask(ctx, t, p)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no whole answer in %v", s.timeout)
	}
	if e, ok := errors.AsType[*url.Error](err); ok { // the address is a tag already
		return e.Err
	}
	return err
}

func (s *scraper) ask(ctx context.Context, t *target, p *space) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return err
	}
	if err := s.setHeaders(r); err != nil {
		return err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, answer.Body, firstRoom) // so that the connection can be used again
		return fmt.Errorf("answered %s", answer.Status)
	}
	if p.form, err = formOf(answer.Header.Get("Content-Type")); err != nil {
		return err
	}
	return s.read(ctx, p, answer)
}

func (s *scraper) setHeaders(r *http.Request) error {
	h := r.Header
	h.Set("Accept", prometheus.Accept)
	if s.cfg.Native {
		h.Set("Accept", acceptNative)
	}
	h.Set("Accept-Encoding", "gzip")
	h.Set("User-Agent", "pacewire")
	h.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(s.timeout.Seconds(), 'f', -1, 64))
	if s.cfg.Username != "" || s.cfg.Password != "" {
		r.SetBasicAuth(s.cfg.Username, s.cfg.Password.Reveal())
	}
	token := s.cfg.BearerToken.Reveal()
	if s.cfg.RenewedFile != "" {
		text, err := os.ReadFile(s.cfg.RenewedFile)
		if err != nil {
			return fmt.Errorf("renewed_token_file: %w", err)
		}
		if token = strings.TrimSpace(string(text)); token == "" {
			return fmt.Errorf("renewed_token_file: %s is empty", s.cfg.RenewedFile)
		}
	}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	for name, value := range s.cfg.Headers {
		if h.Set(name, value); http.CanonicalHeaderKey(name) == "Host" {
			r.Host = value
		}
	}
	return nil
}

// A form is a format of pages, by its media type.
type form string

const (
	textForm     form = "text/plain"
	openForm     form = "application/openmetrics-text"
	protobufForm form = "application/vnd.google.protobuf"
)

// formOf tells which format a Content-Type says. Many answer with another one than is asked for first.
func formOf(contentType string) (form, error) {
	if contentType == "" {
		return textForm, nil
	}
	kind, parameters, err := mime.ParseMediaType(contentType)
	switch f := form(kind); {
	case f == textForm, f == openForm && parameters["version"] < "2",
		f == protobufForm && parameters["proto"] == "io.prometheus.client.MetricFamily" && parameters["encoding"] == "delimited":
		return f, nil
	case err != nil:
		return "", fmt.Errorf("content type %q: %w", contentType, err)
	}
	return "", fmt.Errorf("content type %q: want %s or %s, or delimited %s", contentType, textForm, openForm, protobufForm)
}

// read reads a body, of at most MaxBody bytes, and decompresses it.
func (s *scraper) read(ctx context.Context, p *space, answer *http.Response) (err error) {
	body, room := io.Reader(answer.Body), int64(firstRoom)
	switch encoding := answer.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		room = answer.ContentLength + 1 // to see the end
	case "gzip":
		if p.gzip == nil {
			p.gzip = new(gzip.Reader)
		}
		if err := p.gzip.Reset(body); err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
		body = p.gzip
	default:
		return fmt.Errorf("content encoding %q: want gzip or none", encoding)
	}
	if p.text = p.text[:0]; int64(cap(p.text)) < room && room <= keptText {
		p.text = make([]byte, 0, room)
	}
	for {
		if len(p.text) == cap(p.text) {
			if err := s.enlarge(ctx, p); err != nil {
				return err
			}
			p.text = append(p.text, make([]byte, max(firstRoom, len(p.text)))...)[:len(p.text)]
		}
		n, err := body.Read(p.text[len(p.text):cap(p.text)])
		p.text = p.text[:len(p.text)+n]
		switch {
		case len(p.text) > s.cfg.MaxBody:
			return fmt.Errorf("the body has more than %d bytes (max_body_bytes)", s.cfg.MaxBody)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
