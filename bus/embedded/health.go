package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	roomAgain    = 4 << 20                // free bytes that make a restart worth trying
	restartPause = 10 * time.Second       // between two of them
	lookSoon     = 100 * time.Millisecond // a server logs what has failed before it knows it
)

// ErrDiskFull is the Health of a server whose disk has no room. It stores nothing, and gives what it has; once there is room it
// restarts itself.
var ErrDiskFull = errors.New("the disk is full")

var errNotRunning = errors.New("bus server is not running")

// Health is nil while the server works, else what is wrong with it.
func (s *Server) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health
}

// watch examines the server. After a disk was full the server goes on refusing
// writes though there is room again; only a restart helps, and keeps everything.
func (s *Server) watch() {
	defer close(s.done)
	tick := time.NewTicker(s.opts.HealthEvery)
	defer tick.Stop()
	var restarted time.Time
	var before error
	for {
		select {
		case <-s.stop:
			return
		case <-s.look:
			tick.Reset(min(lookSoon, s.opts.HealthEvery))
			continue
		case <-tick.C:
			tick.Reset(s.opts.HealthEvery)
		}
		err := s.examine()
		// A stream being made looks like one that is broken, so a fault counts
		// when it is there twice; a full disk counts at once.
		if err == nil || before != nil || errors.Is(err, ErrDiskFull) {
			s.setHealth(err)
		}
		before = err
		// A server that is not running is what a restart left that failed.
		hurt := errors.Is(err, ErrDiskFull) || errors.Is(err, errNotRunning)
		if hurt && s.hasRoom() && time.Since(restarted) > restartPause {
			restarted = time.Now()
			s.log.Warn("restarting the bus", "dir", s.opts.Dir, "cause", err)
			s.setHealth(s.restart())
		}
	}
}

// lookNow has the server examined soon.
func (s *Server) lookNow() {
	select {
	case s.look <- struct{}{}:
	default: // it is about to be
	}
}

func (s *Server) examine() error {
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	if !run.Running() {
		return errNotRunning
	}
	status := run.Healthz(&server.HealthzOptions{})
	if status.Error == "" {
		return nil
	}
	if strings.Contains(status.Error, "no space left") {
		return fmt.Errorf("%w: bus server: %s", ErrDiskFull, status.Error)
	}
	return fmt.Errorf("bus server: %s", status.Error)
}

func (s *Server) setHealth(err error) {
	s.mu.Lock()
	changed := (err == nil) != (s.health == nil) || err != nil && err.Error() != s.health.Error()
	s.health = err
	s.mu.Unlock()
	if !changed {
		return
	}
	if err != nil {
		s.log.Error("bus unhealthy", "err", err)
	} else {
		s.log.Info("bus healthy")
	}
	if s.opts.OnHealth != nil {
		s.opts.OnHealth(err)
	}
}

// restart takes down the server and starts another on the same address and
// store. Clients reconnect by themselves.
func (s *Server) restart() error {
	s.halt()
	// However long it takes: a large store on a slow disk would need as long the next time.
	if err := s.launch(context.Background()); err != nil {
		return fmt.Errorf("restart bus server: %w", err)
	}
	return s.examine()
}

func (s *Server) hasRoom() bool {
	free, err := freeBytes(s.opts.Dir)
	return err == nil && free >= roomAgain
}
