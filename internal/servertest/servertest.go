// Package servertest starts real servers for tests.
package servertest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

const (
	readyWithin = 30 * time.Second // a loaded machine; a third of a second is usual
	stopWithin  = 10 * time.Second
	// portTries is how often a start is tried with other ports: a free port may
	// be taken before the server has it.
	portTries = 3
)

// A Server is a program that serves one test: on loopback, with its data in the
// test's temporary folder. It ends with the test. Its methods belong to the
// test's goroutine and end the test if they cannot do what they say.
type Server struct {
	URL string // such as http://127.0.0.1:28086; Stop and Start keep it

	t      testing.TB
	args   []string
	health string // the path that answers 2xx when the server is ready
	log    string // the file with all it printed
	proc   *process.Process
}

// program is how a server is started.
type program struct {
	name, debian string // the executable and the Debian package it is in
	health       string
	ports        int // how many it listens on; the first is that of URL
	args         func(t testing.TB, dir string, ports []string) []string
}

// Program is the path of a program that a test needs. Without it the test is
// skipped, or fails where everything has to be there: with CI=true or
// PACEWIRE_TEST_REQUIRE=1.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	advice := fmt.Sprintf("no program %s: install the Debian package %s, or run .ci/install as root", name, debian)
	if required(os.Getenv) {
		t.Fatal(advice)
	}
	t.Skip(advice)
	return ""
}

func required(getenv func(string) string) bool {
	return getenv("CI") == "true" || getenv("PACEWIRE_TEST_REQUIRE") == "1"
}

func start(t testing.TB, p program) *Server {
	t.Helper()
	path := Program(t, p.name, p.debian)
	dir := t.TempDir()
	s := &Server{t: t, health: p.health, log: filepath.Join(dir, "log")}
	t.Cleanup(s.Stop)
	var err error
	for range portTries {
		ports := freePorts(t, p.ports)
		s.URL = "http://" + ports[0]
		s.args = append([]string{path}, p.args(t, dir, ports)...)
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// Start starts the server again after Stop, on the same ports and data, and
// waits until it is ready. One that runs is left alone.
func (s *Server) Start() {
	s.t.Helper()
	if s.proc != nil {
		return
	}
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Stop ends the server and waits until it is gone. One that is stopped is left alone.
func (s *Server) Stop() {
	if s.proc == nil {
		return
	}
	s.proc.Terminate(stopWithin)
	<-s.proc.Done()
	s.proc = nil
}

func (s *Server) start() error {
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	s.proc, err = process.Start(process.Command{
		Args:   s.args,
		Env:    []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(s.log)},
		Dir:    filepath.Dir(s.log),
		Stdout: out, Stderr: out,
		OnParentDeath: syscall.SIGKILL, // a test binary that is killed has no Cleanup
	})
	if err != nil {
		return err
	}
	if err := s.awaitReady(); err != nil {
		s.Stop()
		return fmt.Errorf("%w; its last words:\n%s", err, s.lastWords())
	}
	return nil
}

// awaitReady polls the health page until it answers, or the server ends.
func (s *Server) awaitReady() error {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(readyWithin)
	for {
		if healthy(client, s.URL+s.health) {
			return nil
		}
		select {
		case <-s.proc.Done():
			return fmt.Errorf("start %s: ended with %v", s.args[0], s.proc.Exit())
		case <-late:
			return fmt.Errorf("start %s: not ready at %s within %v", s.args[0], s.URL+s.health, readyWithin)
		case <-tick.C:
		}
	}
}

func healthy(client *http.Client, url string) bool {
	resp, err := client.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode/100 == 2
}

func (s *Server) lastWords() string {
	const most = 2 << 10
	text, _ := os.ReadFile(s.log)
	return string(text[max(0, len(text)-most):])
}

// call sends a request to the server and returns the body of its 2xx answer.
func (s *Server) call(method, path string) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Close = true // no connection outlives a Stop, nor the test
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(body)))
	}
	return body
}

// freePorts finds loopback addresses that nobody listens on just now.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all at the end, so that they differ
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}
