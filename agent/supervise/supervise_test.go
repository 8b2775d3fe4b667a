package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// The tests of this file have processes without a process, in a bubble of
// synctest: hours pass in no time, and every pause is exact.

func TestCrashLoopEndsInFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{act: func(p *actor) { p.say("cannot go on\n"); p.exit(Exit{Code: 3}) }}
		c := s.run(t, Spec{})
		synctest.Wait()
		f := func(starts int, state State) {
			t.Helper()
			if st := c.Status(); s.count() != starts || st.State != state || st.Restarts != starts-1 {
				t.Errorf("after %d starts: %+v; want %d, %s", s.count(), st, starts, state)
			}
		}
		f(2, BackingOff) // the first restart is immediate
		if st := c.Status(); st.Reason != "exit code 3: cannot go on" || st.Next.Before(time.Now()) || st.LastExit.Code != 3 {
			t.Errorf("status %+v", st)
		}
		for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60} {
			left := time.Until(c.Status().Next)
			if left < pause*time.Second*3/4 || left > pause*time.Second {
				t.Errorf("pause of %v, want %v less up to a quarter", left, pause*time.Second)
			}
			pass(left - 1)
			f(2+i, BackingOff)
			pass(1)
			f(3+i, BackingOff)
		}
		pass(time.Minute)
		f(10, Failed)
		if st := c.Status(); st.Reason != "10 starts in 10m0s, the last ended with exit code 3: cannot go on" || st.PID != 0 {
			t.Errorf("status %+v", st)
		}
		pass(24 * time.Hour)
		f(10, Failed)

		s.play(func(*actor) {}) // it is repaired
		if err := c.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		f(11, Running)
	})
}

func TestHealthyChildIsBackAtOnceForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{}
		c := s.run(t, Spec{})
		for i := range 100 {
			pass(time.Minute)
			_ = c.Signal(syscall.SIGKILL)
			synctest.Wait()
			if st := c.Status(); st.State != Running || st.Restarts != i+1 || st.PID != s.count() || st.LastExit.Signal != "SIGKILL" {
				t.Fatalf("after %d kills: %+v", i+1, st)
			}
		}
	})
}

func TestNoRestartFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{act: func(p *actor) { p.say("config:\n\n  interval: 0\ntoo short"); p.exit(Exit{Code: 78}) }}
		c := s.run(t, Spec{NoRestart: func(code int) bool { return code == 64 || code == 78 }})
		pass(time.Hour)
		st := c.Status()
		if s.count() != 1 || st.State != Failed || st.Reason != "exit code 78: config:; interval: 0; too short" {
			t.Errorf("after %d starts: %+v", s.count(), st)
		}
	})
}

// A program that is not there may be on its way: it is tried like one that crashes.
func TestProgramThatDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{broken: errors.New("no such file")}
		c := s.run(t, Spec{})
		synctest.Wait()
		if st := c.Status(); st.State != BackingOff || st.Reason != "no such file" || st.LastExit.Code != -1 {
			t.Errorf("status %+v", st)
		}
		if err := c.Restart(t.Context()); !errors.Is(err, s.broken) {
			t.Errorf("Restart: %v", err)
		}
		pass(time.Hour)
		if st := c.Status(); st.State != Failed || !strings.Contains(st.Reason, "no such file") {
			t.Errorf("status %+v", st)
		}
	})
}

// Stop is drain, TERM, KILL, each for its time and no longer.
func TestStop(t *testing.T) {
	f := func(name string, drain func(context.Context, *actor) error, act func(*actor), want time.Duration, signal string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stage{act: act}
				spec := Spec{}
				if drain != nil {
					spec.Drain = func(ctx context.Context) error { return drain(ctx, s.last()) }
				}
				c := s.run(t, spec)
				pass(time.Second)
				begin := time.Now()
				if err := c.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				st := c.Status()
				if took := time.Since(begin); took != want || st.LastExit.Signal != signal || st.State != Stopped || st.PID != 0 {
					t.Errorf("took %v, %+v; want %v, signal %q", took, st, want, signal)
				}
				pass(time.Hour)
				if s.count() != 1 {
					t.Errorf("%d starts, want 1", s.count())
				}
			})
		})
	}
	obeys := func(*actor) {}
	stubborn := func(p *actor) { p.deaf = true }
	slow := func(_ context.Context, p *actor) error {
		time.AfterFunc(3*time.Second, func() { p.exit(Exit{}) })
		return nil
	}
	agrees := func(context.Context, *actor) error { return nil }
	refuses := func(context.Context, *actor) error { return errors.New("no answer") }
	hangs := func(ctx context.Context, _ *actor) error { <-ctx.Done(); return ctx.Err() }

	f("obeys TERM", nil, obeys, 0, "SIGTERM")
	f("ignores TERM", nil, stubborn, 5*time.Second, "SIGKILL")
	f("drains", slow, stubborn, 3*time.Second, "")
	f("agrees and does not", agrees, obeys, 10*time.Second, "SIGTERM")
	f("agrees and does nothing", agrees, stubborn, 15*time.Second, "SIGKILL")
	f("cannot be asked", refuses, obeys, 0, "SIGTERM")
	f("does not answer", hangs, stubborn, 15*time.Second, "SIGKILL")
}

func TestStopWithoutAProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{act: func(p *actor) { p.exit(Exit{Code: 1}) }}
		c := s.run(t, Spec{Drain: func(context.Context) error { t.Error("nobody to ask"); return nil }})
		pass(10 * time.Second)
		begin := time.Now()
		if err := c.Stop(t.Context()); err != nil || time.Since(begin) != 0 {
			t.Errorf("Stop: %v after %v", err, time.Since(begin))
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Errorf("second Stop: %v", err)
		}
		if err := c.Restart(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("Restart: %v, want ErrStopped", err)
		}
		if err := c.Signal(syscall.SIGHUP); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Signal: %v", err)
		}
		if _, err := c.Usage(); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Usage: %v", err)
		}
		c.Replace("nobody") // nothing to do
	})
}

// A stop may overtake the goroutine that is to call Run.
func TestStopBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		launched := 0
		c := New(Spec{Name: "x", Command: []string{"x"}})
		c.launch = func(process.Command) (running, error) {
			launched++
			return nil, errors.New("not to be had")
		}
		for range 2 {
			if err := c.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Run(t.Context()); err != nil || launched != 0 || c.Status().State != Stopped {
			t.Errorf("Run after Stop: %v, %d starts, %s", err, launched, c.Status().State)
		}
		if err := c.Stop(t.Context()); err != nil { // after a Run it means nothing to the next
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Run(ctx); err != nil || launched == 0 {
			t.Errorf("the next Run: %v, %d starts", err, launched)
		}
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{}
		drained := 0
		c := s.run(t, Spec{Drain: func(context.Context) error {
			drained++
			s.last().exit(Exit{})
			return nil
		}})
		synctest.Wait()
		for range 50 { // more than a crashing child may
			if err := c.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if st := c.Status(); st.State != Running || st.Restarts != 50 || drained != 50 {
			t.Errorf("drained %d times, %+v", drained, st)
		}
	})
}

func TestRestartGivesUpWithItsContextOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{act: func(p *actor) { p.deaf = true }}
		c := s.run(t, Spec{})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Restart(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Restart: %v", err)
		}
		pass(5 * time.Second)
		if s.count() != 2 {
			t.Errorf("%d starts, want 2: it takes place all the same", s.count())
		}
	})
}

// Several at once, and one while the child is stopping: each gets its answer.
func TestRestartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{act: func(p *actor) { p.deaf = true }}
		c := s.run(t, Spec{})
		synctest.Wait()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := c.Restart(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if s.count() != 2 {
			t.Errorf("%d starts, want 2", s.count())
		}
		wg.Go(func() { _ = c.Stop(t.Context()) })
		synctest.Wait()
		if err := c.Restart(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("Restart while stopping: %v, want ErrStopped", err)
		}
		wg.Wait()
	})
}

func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		s := &stage{act: func(p *actor) { p.deaf = true }}
		c := s.run(t, Spec{
			Drain:    func(context.Context) error { t.Error("asked one that hangs"); return nil },
			OnChange: func(st Status) { seen = append(seen, strings.TrimSuffix(fmt.Sprint(st.State, " ", st.Reason), " ")) },
		})
		synctest.Wait()
		c.Replace("no beat for 30s")
		pass(5 * time.Second)
		if st := c.Status(); st.State != Running || st.PID != 2 || st.LastExit.Signal != "SIGKILL" {
			t.Errorf("status %+v", st)
		}
		c.Kill("too much memory") // a second crash soon after: it pauses
		synctest.Wait()
		want := []string{
			"starting", "running", "stopping no beat for 30s",
			"starting", "running", "stopping too much memory", "backing_off too much memory (signal SIGKILL)",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("states %q, want %q", seen, want)
		}
	})
}

// A verdict on a process that has ended meanwhile does not hit the next one.
func TestReplaceIsMeantForOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{}
		c := s.run(t, Spec{})
		pass(time.Minute)
		c.orders <- order{kind: replace, pid: 77, reason: "hangs"}
		synctest.Wait()
		c.orders <- order{kind: kill, pid: 77, reason: "hangs"}
		synctest.Wait()
		if st := c.Status(); st.State != Running || st.PID != 1 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestKillCutsADrainShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{act: func(p *actor) { p.deaf = true }}
		c := s.run(t, Spec{Drain: func(context.Context) error { return nil }})
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Stop(t.Context()) })
		pass(time.Second)
		begin := time.Now()
		c.Kill("in a hurry")
		wg.Wait()
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestRunIsOneAtATimeAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{}
		c := s.run(t, Spec{Name: "cpu"})
		synctest.Wait()
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cpu") {
			t.Errorf("second Run: %v", err)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.orders <- order{kind: restart, done: make(chan error, 1)} // too late for the first Run
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Run(t.Context()) })
		synctest.Wait()
		if st := c.Status(); st.State != Running || s.count() != 2 {
			t.Errorf("%d starts, %+v", s.count(), st)
		}
		_ = c.Stop(t.Context())
		wg.Wait()
	})
}

// stage starts actors in the place of processes.
type stage struct {
	mu     sync.Mutex
	act    func(*actor)
	broken error
	actors []*actor
}

// run starts a child whose Run ends with the test.
func (s *stage) run(t *testing.T, spec Spec) *Child {
	c := New(spec)
	c.launch = s.launch
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return c
}

func (s *stage) launch(cmd process.Command) (running, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	p := &actor{pid: len(s.actors) + 1, stderr: cmd.Stderr, began: time.Now(), done: make(chan struct{})}
	s.actors = append(s.actors, p)
	if s.act != nil {
		s.act(p)
	}
	return p, nil
}

func (s *stage) play(act func(*actor)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.act = act
}

func (s *stage) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.actors)
}

func (s *stage) last() *actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.actors[len(s.actors)-1]
}

// actor is a process that obeys TERM unless it is deaf.
type actor struct {
	pid    int
	deaf   bool
	stderr io.Writer
	began  time.Time
	once   sync.Once
	done   chan struct{}
	end    Exit
}

func (a *actor) say(text string) { _, _ = io.WriteString(a.stderr, text) }

func (a *actor) exit(e Exit) {
	a.once.Do(func() {
		e.At = time.Now()
		a.end = e
		close(a.done)
	})
}

func (a *actor) PID() int                      { return a.pid }
func (a *actor) Done() <-chan struct{}         { return a.done }
func (a *actor) Exit() process.Exit            { return a.end }
func (a *actor) Usage() (process.Usage, error) { return process.Usage{}, nil }
func (a *actor) Started() time.Time            { return a.began }
func (a *actor) Unheld() []string              { return nil }
func (a *actor) Detach() bool                  { a.exit(Exit{Code: -1, Unknown: true}); return true }

func (a *actor) Signal(sig syscall.Signal) error {
	if sig == syscall.SIGKILL {
		a.exit(Exit{Code: -1, Signal: "SIGKILL"})
	}
	return nil
}

func (a *actor) Terminate(grace time.Duration) {
	if !a.deaf {
		a.exit(Exit{Code: -1, Signal: "SIGTERM"})
		return
	}
	time.AfterFunc(grace, func() { _ = a.Signal(syscall.SIGKILL) })
}

// pass lets time pass and waits until all that is due has happened.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
