package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/embedded"
)

// The streams of a bus that serves one test are small, and the disk need not have what it stores.
const (
	testMetrics = 256 << 20
	testEvents  = 16 << 20
	testDead    = 16 << 20
	testSync    = "2m"
	testStart   = 30 * time.Second
)

// loneBus is a bus for tests of plugin libraries in other languages.
type loneBus struct {
	listen, dir    string
	users          []string
	cert, key, ask string
}

// bus is the verb of a bus alone.
func (a *app) bus() *cobra.Command {
	var b loneBus
	c := &cobra.Command{
		Use: "bus", Short: "Run the embedded bus alone, with its streams, until stdin ends", Args: cobra.NoArgs, Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := context.WithCancel(c.Context())
			defer stop()
			go func() { // it ends with the process
				_, _ = io.Copy(io.Discard, a.in)
				stop()
			}()
			return b.run(ctx, a.out)
		},
	}
	f := c.Flags()
	f.StringVar(&b.listen, "listen", "127.0.0.1:0", "address and port; port 0 takes a free one")
	f.StringVar(&b.dir, "dir", "", "where it keeps its data; by default a folder that is removed in the end")
	f.StringArrayVar(&b.users, "user", nil, "ROLE/HOST/PLUGIN that gets a password and the rights of its role; without any, nobody is asked for one")
	f.StringVar(&b.cert, "tls-cert", "", "certificate of an encrypted bus")
	f.StringVar(&b.key, "tls-key", "", "key of the certificate")
	f.StringVar(&b.ask, "tls-clients", "", "authority of which clients must have a certificate")
	return c
}

// run runs the bus until ctx ends, and prints where it is and who may come in.
func (b *loneBus) run(ctx context.Context, out io.Writer) error {
	if b.dir == "" {
		made, err := os.MkdirTemp("", "pacewire-bus-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(made) }()
		b.dir = made
	}
	encryption, err := b.encryption()
	if err != nil {
		return exitWith(exitConfig, err)
	}
	passwords, users, err := b.grants()
	if err != nil {
		return exitWith(exitUsage, err)
	}
	server, err := embedded.Start(ctx, embedded.Options{Dir: b.dir, Listen: b.listen, Sync: testSync, Users: users, TLS: encryption})
	if err != nil {
		return exitWith(exitConfig, err)
	}
	defer server.Shutdown()
	if err := makeStreams(ctx, server, users); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(map[string]any{"url": server.URL(), "users": passwords}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// grants returns the users and their passwords; nil users let everybody in.
func (b *loneBus) grants() (passwords map[string]string, users *embedded.Users, err error) {
	passwords = make(map[string]string)
	if len(b.users) == 0 {
		return passwords, nil, nil
	}
	users = new(embedded.Users)
	for _, text := range b.users {
		who := strings.Split(text, "/")
		if len(who) != 3 {
			return nil, nil, fmt.Errorf("user %q: want role/host/plugin, such as collector/web-1/cpu", text)
		}
		rights := embedded.Rights(bus.RightsOf(bus.Role(who[0]), who[1], who[2], []bus.Input{{Stream: bus.StreamMetrics, Durable: who[2]}}))
		name := bus.User(who[1], who[2])
		passwords[name] = users.Grant(name, &rights).Password
	}
	return passwords, users, nil
}

func (b *loneBus) encryption() (*tls.Config, error) {
	if b.cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(b.cert, b.key)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if b.ask == "" {
		return c, nil
	}
	text, err := os.ReadFile(b.ask)
	if err != nil {
		return nil, err
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls-clients %s: no certificate in it", b.ask)
	}
	return c, nil
}

// makeStreams makes the streams, as a user of its own where users are asked for a password.
func makeStreams(ctx context.Context, server *embedded.Server, users *embedded.Users) error {
	o := bus.Options{InProcess: server, User: bus.Hub, Wait: testStart}
	if users != nil {
		grant := users.Grant(bus.Hub, nil)
		defer grant.Revoke()
		text, err := json.Marshal(grant)
		if err != nil {
			return err
		}
		o.CredsFile = filepath.Join(server.Dir(), "hub.json")
		defer func() { _ = os.Remove(o.CredsFile) }()
		if err := os.WriteFile(o.CredsFile, text, 0o600); err != nil {
			return err
		}
	}
	conn, err := bus.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := bus.DefaultStreams()
	s.MetricsMaxBytes, s.EventsMaxBytes, s.DeadMaxBytes = testMetrics, testEvents, testDead
	return conn.EnsureStreams(ctx, s)
}
