package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
			if st := c.Status(); s.count() != starts || st.State != state || st.Restarts != min(starts-1, 9) {
				t.Errorf("after %d starts: %+v; want %d, %s", s.count(), st, starts, state)
			}
		}
		f(2, BackingOff) // the first restart is immediate
		if st := c.Status(); st.Reason != "exit code 3: cannot go on" || st.Next.Before(time.Now()) || st.LastExit.Code != 3 {
			t.Errorf("status %+v", st)
		}
		for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60} {
			left := time.Until(c.Status().Next)
			if left < pause*time.Second || left > pause*time.Second*5/4 {
				t.Errorf("pause of %v, want %v and up to a quarter more", left, pause*time.Second)
			}
			pass(left - 1)
			f(2+i, BackingOff)
			pass(1)
			f(3+i, BackingOff)
		}
		pass(longestPause * 5 / 4)
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
		f(11, Running) // which was asked for, and is no restart more
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
		if s.count() != 1 || st.State != Failed || st.Reason != "exit code 78: too short; interval: 0; config:" {
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

// A stop may overtake the goroutine that is to call Run, the first time and any other.
func TestStopBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		launched := 0
		c := New(Spec{Name: "x", Command: []string{"x"}})
		c.launch = func(process.Command) (running, error) {
			launched++
			return nil, errors.New("not to be had")
		}
		f := func(stops int, runs bool) {
			t.Helper()
			launched = 0
			for range stops {
				if err := c.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := c.Run(ctx)
			if err != nil || launched > 0 != runs || ctx.Err() != nil != runs || c.Status().State != Stopped {
				t.Errorf("Run after %d Stops: %v, %d starts, %s", stops, err, launched, c.Status().State)
			}
		}
		f(2, false)
		f(0, true) // a Stop is for one Run
		f(1, false)
		f(1, false)
		f(0, true)
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
		if st := c.Status(); st.State != Running || st.Restarts != 0 || s.count() != 51 || drained != 50 {
			t.Errorf("drained %d times, %+v", drained, st)
		}
	})
}

// Restarts counts what somebody would want to be told: crashes and hangs, not what was asked for.
func TestRestartsNobodyAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{}
		c := s.run(t, Spec{NoRestart: func(code int) bool { return code == 78 }})
		f := func(what string, want, starts int) {
			t.Helper()
			synctest.Wait()
			if st := c.Status(); st.Restarts != want || s.count() != starts {
				t.Errorf("%s: %d starts, %+v; want %d, %d restarts", what, s.count(), st, starts, want)
			}
			pass(time.Minute) // it is healthy
		}
		f("it runs", 0, 1)
		s.last().exit(Exit{Code: 3})
		f("it has crashed", 1, 2)
		if err := c.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		f("an operator wants it", 1, 3)
		c.Replace("no beat for 30s")
		f("it hangs", 2, 4)
		c.Kill("it floods the bus")
		f("it floods", 3, 5)
		s.last().exit(Exit{Code: 78})
		f("it has failed", 3, 5)
		c.Retry("its program has changed")
		f("it is another", 3, 6)
		_ = c.Signal(syscall.SIGKILL)
		f("it is killed", 4, 7)
		s.play(func(p *actor) { p.deaf = true })
		if err := c.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		c.Replace("it hangs")
		synctest.Wait()
		s.play(nil)
		if err := c.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		f("it was to be replaced, and then to be restarted", 4, 9)
	})
}

// A Run that begins is no restart, whatever was before it.
func TestRunIsNoRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{act: func(p *actor) { p.exit(Exit{Code: 3}) }}
		c := s.child(Spec{})
		for i := range 3 {
			var wg sync.WaitGroup
			wg.Go(func() { _ = c.Run(t.Context()) })
			synctest.Wait()
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			wg.Wait()
			if st := c.Status(); st.Restarts != i+1 || s.count() != 2*(i+1) {
				t.Errorf("%d starts, %+v", s.count(), st)
			}
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
		pass(longestPause * 5 / 4)
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

// Retry wakes who backs off or has failed, forgets the crashes, and does not touch who runs.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{act: func(p *actor) { p.exit(Exit{Code: 3}) }}
		c := s.run(t, Spec{NoRestart: func(code int) bool { return code == 78 }})
		synctest.Wait()
		f := func(starts int, state State) {
			t.Helper()
			synctest.Wait()
			if st := c.Status(); s.count() != starts || st.State != state {
				t.Errorf("after %d starts: %+v; want %d, %s", s.count(), st, starts, state)
			}
		}
		f(2, BackingOff)
		for i := range 20 { // none of them counts against the next: the first crash after each is forgiven
			c.Retry("its program has changed")
			f(4+2*i, BackingOff)
		}
		s.play(func(p *actor) { p.exit(Exit{Code: 78}) })
		c.Retry("its program has changed")
		f(43, Failed)
		pass(time.Hour)
		f(43, Failed)
		s.play(nil)
		c.Retry("its config has changed")
		c.Retry("and again")
		f(44, Running)
		c.Retry("nothing to do")
		_ = c.Signal(syscall.SIGKILL)
		f(45, Running) // at once, as it is the first crash
		s.play(func(p *actor) { p.exit(Exit{Code: 3}) })
		_ = c.Signal(syscall.SIGKILL)
		synctest.Wait()
		f(45, BackingOff) // nothing is left of the Retry while it ran
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Retry("nobody is there")
	})
}

func TestSingle(t *testing.T) {
	f := func(name string, spec Spec, act func(*actor), steady bool, want Status, starts int) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stage{act: act}
				spec.Single = true
				c := s.run(t, spec)
				synctest.Wait()
				if steady && !c.Steady() {
					t.Error("Steady came too late")
				}
				_ = c.Signal(syscall.SIGKILL)
				synctest.Wait()
				st := c.Status()
				if st.State != want.State || st.Reason != want.Reason || st.LastExit.Code != want.LastExit.Code || s.count() != starts {
					t.Errorf("%d starts, %+v; want %d, %+v", s.count(), st, starts, want)
				}
				if c.Steady() != steady {
					t.Errorf("Steady afterwards: %v", !steady)
				}
				if err := c.Restart(t.Context()); steady == errors.Is(err, ErrStopped) {
					t.Errorf("Restart: %v", err)
				}
			})
		})
	}
	stopped := func(code int, reason string) Status {
		return Status{State: Stopped, Reason: reason, LastExit: Exit{Code: code}}
	}
	f("killed", Spec{}, nil, false, stopped(-1, "signal SIGKILL"), 1)
	f("crashes", Spec{}, func(p *actor) { p.say("no\n"); p.exit(Exit{Code: 1}) }, false, stopped(1, "exit code 1: no"), 1)
	f("ends well", Spec{}, func(p *actor) { p.exit(Exit{}) }, false, stopped(0, "exit code 0"+unasked), 1)
	f("does not start", Spec{Each: func() (Start, error) { return Start{}, errors.New("no file") }}, nil, false, stopped(-1, "no file"), 0)
	f("has won", Spec{}, nil, true, Status{State: Running, LastExit: Exit{Code: -1}}, 2)
}

// Whoever comes first, Steady and the end agree on whether there is another process.
func TestSteadyAndTheEnd(t *testing.T) {
	for range 200 {
		s := &stage{}
		c := s.run(t, Spec{Single: true})
		await(t, c, "it runs", isRunning)
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Signal(syscall.SIGKILL) })
		steady := c.Steady()
		wg.Wait()
		await(t, c, fmt.Sprintf("steady %v", steady), func(st Status) bool {
			return steady && st.State == Running && st.PID == 2 || !steady && st.State == Stopped && s.count() == 1
		})
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// What one process has of its own comes with its start and goes with its end.
func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var files []*os.File
		over, n := 0, 0
		s := &stage{}
		c := s.run(t, Spec{Command: []string{"plugin"}, Env: []string{"A=1"}, KeepDir: "unused", Each: func() (Start, error) {
			n++
			if n == 3 {
				return Start{}, fmt.Errorf("%w: its checksum is another", ErrNoStart)
			}
			f, err := os.Open(os.DevNull)
			files = append(files, f)
			return Start{Env: []string{fmt.Sprint("N=", n)}, Command: []string{"copy", fmt.Sprint(n)}, File: f, Note: "x", Done: func() { over++ }}, err
		}})
		f := func(wantOver int) {
			t.Helper()
			synctest.Wait()
			cmd := s.command()
			if over != wantOver || !slices.Equal(cmd.Args, []string{"copy", fmt.Sprint(n)}) || !slices.Equal(cmd.Env, []string{"A=1", fmt.Sprint("N=", n)}) {
				t.Errorf("%d are over; command %q, environment %q", over, cmd.Args, cmd.Env)
			}
			if cmd.OnParentDeath != syscall.SIGKILL || cmd.KeepDir != "" || cmd.Note != "" || cmd.Limits.Files != 1024 {
				t.Errorf("command %+v", cmd)
			}
			for _, file := range files {
				if err := file.Close(); !errors.Is(err, os.ErrClosed) {
					t.Errorf("a file is open: %v", err)
				}
			}
		}
		f(0)
		_ = c.Signal(syscall.SIGKILL)
		f(1)
		s.breakIt(errors.New("not executable"))
		_ = c.Signal(syscall.SIGKILL)
		synctest.Wait()
		if st := c.Status(); st.State != BackingOff || over != 2 {
			t.Errorf("%d are over, %+v", over, st)
		}
		pass(2 * time.Second)
		if st := c.Status(); st.State != Failed || st.Reason != "not to be started: its checksum is another" || over != 2 {
			t.Errorf("%d are over, %+v", over, st)
		}
	})
}

// With Keep the end of ctx leaves the process, and the next Run goes on with it; Stop ends it.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{}
		over := 0
		spec := Spec{Keep: true, KeepDir: "keep", Each: func() (Start, error) { return Start{Note: "n", Done: func() { over++ }}, nil }}
		spec.Resumed = func(r Record) (Start, error) {
			if r.Note != "n" {
				t.Errorf("record %+v", r)
			}
			return Start{Done: func() { over += 10 }}, nil
		}
		c := s.child(spec)
		live := func() (end func()) {
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = c.Run(ctx) })
			synctest.Wait()
			return func() { cancel(); wg.Wait() }
		}
		f := func(state State, pid, restarts, starts, wantOver int) {
			t.Helper()
			synctest.Wait()
			st := c.Status()
			if st.State != state || st.PID != pid || st.Restarts != restarts || s.count() != starts || over != wantOver {
				t.Errorf("%d starts, %d over, %+v; want %s, pid %d, %d restarts, %d starts, %d over", s.count(), over, st, state, pid, restarts, starts, wantOver)
			}
			if (pid == 0) != st.Started.IsZero() {
				t.Errorf("process %d was started at %v", pid, st.Started)
			}
		}
		end := live()
		f(Running, 1, 0, 1, 0)
		if cmd := s.command(); cmd.KeepDir != "keep" || cmd.Note != "n" || cmd.OnParentDeath != 0 {
			t.Errorf("command %+v", cmd)
		}
		end()
		f(Stopped, 0, 0, 1, 0)
		if st := c.Status(); st.Reason != "left running" || !st.LastExit.At.IsZero() {
			t.Errorf("%+v", st)
		}
		end = live()
		f(Running, 1, 0, 1, 0) // the same
		if err := c.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		f(Running, 2, 0, 2, 10)
		end()
		live()
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		f(Stopped, 0, 0, 2, 20)
		if st := c.Status(); st.LastExit.Signal != "SIGTERM" {
			t.Errorf("%+v", st)
		}

		end = live() // nothing is kept: another one
		f(Running, 3, 0, 3, 20)
		end()
		c.spec.Resumed = func(Record) (Start, error) { return Start{}, errors.New("its config is another") }
		end = live()
		f(Running, 4, 0, 4, 20)
		if s.actors[2].end.Signal != "SIGTERM" {
			t.Errorf("the one that is not wanted: %+v", s.actors[2].end)
		}
		end()
	})
}

// A Stop before Run ends what an earlier agent has kept, too; and one that cannot be followed gets no double.
func TestKeepWithoutALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{}
		p := &actor{pid: 7, done: make(chan struct{})}
		s.left = p
		c := s.child(Spec{Keep: true, KeepDir: "keep"})
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); err != nil || s.count() != 0 || p.end.Signal != "SIGTERM" {
			t.Errorf("%v, %d starts, %+v", err, s.count(), p.end)
		}

		s = &stage{lost: errors.New("another agent reads it")}
		c = s.run(t, Spec{Keep: true, KeepDir: "keep"})
		pass(time.Second)
		if st := c.Status(); st.State != BackingOff || st.Reason != s.lost.Error() || s.count() != 0 {
			t.Errorf("%d starts, %+v", s.count(), st)
		}
	})
}

// stage starts actors in the place of processes.
type stage struct {
	mu     sync.Mutex
	act    func(*actor)
	broken error // of the next starts
	lost   error // of the next resumptions
	actors []*actor
	left   *actor // the one that was detached
	cmd    process.Command
}

// run starts a child whose Run ends with the test.
func (s *stage) run(t *testing.T, spec Spec) *Child {
	c := s.child(spec)
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

func (s *stage) child(spec Spec) *Child {
	c := New(spec)
	c.launch, c.resume = s.launch, s.resume
	return c
}

// resume gives the one that was left, if it has not ended.
func (s *stage) resume(string, io.Writer, io.Writer) (running, Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p := s.left; {
	case s.lost != nil:
		return nil, Record{}, s.lost
	case p == nil:
		return nil, Record{}, fs.ErrNotExist
	default:
		s.left = nil
		again := &actor{pid: p.pid, stage: s, stderr: io.Discard, began: p.began, done: make(chan struct{}), was: p}
		return again, Record{PID: p.pid, Note: s.cmd.Note}, nil
	}
}

func (s *stage) launch(cmd process.Command) (running, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	s.cmd = cmd
	p := &actor{pid: len(s.actors) + 1, stage: s, stderr: cmd.Stderr, began: time.Now(), done: make(chan struct{})}
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

func (s *stage) breakIt(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// command is the last one that was started.
func (s *stage) command() process.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd
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
	stage  *stage
	was    *actor // itself, under the agent before
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
		if a.was != nil && !e.Unknown {
			a.was.end = e
		}
		close(a.done)
	})
}

func (a *actor) PID() int                      { return a.pid }
func (a *actor) Done() <-chan struct{}         { return a.done }
func (a *actor) Exit() process.Exit            { return a.end }
func (a *actor) Usage() (process.Usage, error) { return process.Usage{}, nil }
func (a *actor) Started() time.Time            { return a.began }
func (a *actor) Unheld() []string              { return nil }

func (a *actor) Detach() bool {
	a.stage.mu.Lock()
	defer a.stage.mu.Unlock()
	a.stage.left = a
	if a.was != nil {
		a.stage.left = a.was
	}
	a.exit(Exit{Code: -1, Unknown: true})
	return true
}

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
