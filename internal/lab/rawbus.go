package lab

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/pacewire/pacewire/bus/embedded"
)

// A RawBus is how a bare bus is run: a server and its store, with no agent around it.
type RawBus struct {
	Dir    string // the store
	Listen string // empty: a free port
	Sync   string // empty: always
}

// rawBusVerb is the first argument of a process that is to be a raw bus.
const rawBusVerb = "raw-bus"

// Start starts the bus in a process of its own and returns its URL. The process is this program again, whose main function must
// call ServeRawBus.
func (b RawBus) Start(ctx context.Context) (*Process, string, error) {
	if b.Listen == "" {
		b.Listen = "127.0.0.1:0"
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	c := exec.CommandContext(ctx, self, rawBusVerb, "-dir", b.Dir, "-listen", b.Listen, "-sync", b.Sync)
	in, out := io.Pipe()
	c.Stdout = out
	p, err := Start(c)
	if err != nil {
		return nil, "", err
	}
	go func() {
		<-p.Done()
		_ = out.Close() // who waits for the URL need not any longer
	}()
	url, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		p.Kill()
		return nil, "", fmt.Errorf("raw bus: %w: %s", err, p.Log.Tail())
	}
	return p, strings.TrimSpace(url), nil
}

// ServeRawBus is a raw bus until ctx ends, if the arguments of this process ask for one, and reports whether they did.
func ServeRawBus(ctx context.Context, args []string) (was bool, err error) {
	if len(args) == 0 || args[0] != rawBusVerb {
		return false, nil
	}
	var b RawBus
	flags := flag.NewFlagSet(rawBusVerb, flag.ContinueOnError)
	flags.StringVar(&b.Dir, "dir", "", "the store")
	flags.StringVar(&b.Listen, "listen", "", "where to listen")
	flags.StringVar(&b.Sync, "sync", "", "when to sync")
	if err := flags.Parse(args[1:]); err != nil {
		return true, err
	}
	server, err := embedded.Start(ctx, embedded.Options{Dir: b.Dir, Listen: b.Listen, Sync: b.Sync})
	if err != nil {
		return true, err
	}
	defer server.Shutdown()
	if _, err := fmt.Println(server.URL()); err != nil {
		return true, errors.Join(err, ctx.Err())
	}
	<-ctx.Done()
	return true, nil
}
