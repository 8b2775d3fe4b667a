package execd

import (
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/execd"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// me are settings by which a program of collectd runs, also where tests are run by root.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return `, "format": "collectd", "user": "` + u.Uid + `"`
}

// No program of collectd runs as root because nobody has thought of it.
func TestRoot(t *testing.T) {
	f := func(format, user string, uid int, want string) {
		t.Helper()
		cfg := Defaults()
		cfg.Format, cfg.User, cfg.Command = format, user, plugin.Strings{"true"}
		err := cfg.checkUser(uid)
		if want == "" && err != nil || want != "" && (!plugin.IsPermanent(err) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s as %q by %d: %v", format, user, uid, err)
		}
	}
	f("collectd", "", 0, "set user to the one it needs, such as nobody, or to root if that is what it needs")
	f("collectd", "nobody", 0, "")
	f("collectd", "root", 0, "")
	f("collectd", "", 1000, "")
	f("influx", "", 0, "")
}

func TestManners(t *testing.T) {
	cfg := Defaults()
	if got := cfg.manners(time.Minute); got != (execd.Manners{}) {
		t.Errorf("of Telegraf: %+v", got)
	}
	cfg.Format = "collectd"
	for every, apart := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Minute: time.Minute} {
		if got := cfg.manners(every); got != (execd.Manners{TermAtOnce: true, Returns: true, Apart: apart}) {
			t.Errorf("every %v: %+v", every, got)
		}
	}
}

// A program that prints and ends, as many of collectd's do, is started once each interval, and nothing is said to be wrong with it.
func TestCollectdReturns(t *testing.T) {
	t.Parallel()
	l := start(t, `echo "PUTVAL \"$COLLECTD_HOSTNAME/count/gauge\" interval=$COLLECTD_INTERVAL N:1"`, me(t))
	l.points(3)
	if h := l.agent.Last("count"); h.Error != nil || h.Stats.Errors["call"] > 0 {
		t.Errorf("%+v, %+v", h.Error, h.Stats)
	}
}

// One that fails is told of.
func TestCollectdFails(t *testing.T) {
	t.Parallel()
	start(t, `echo "no licence" >&2; exit 3`, me(t)).told("exit code 3: no licence (it is started again in")
}

// One that does not read its input hears of the end by SIGTERM at once.
func TestCollectdEnds(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ended")
	l := start(t, `trap 'echo PUTVAL h/last/gauge N:1; echo ended >`+file+`; exit' TERM; echo PUTVAL h/count/gauge N:1; while :; do sleep 0.05; done`, me(t))
	l.points(1)
	l.process.Drain()
	l.stats("its last words count", func(s *telemetry.Stats) bool { return s.PointsOut == 2 })
}

// Values that types.db says are impossible are counted as such.
func TestCollectdBounds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "types.db")
	write(t, path, "percent value:GAUGE:0:100\n")
	l := start(t, `echo PUTVAL h/a/percent N:101; echo GETVAL; echo PUTVAL h/a/percent N:1:2; echo PUTVAL h/a/percent N:99; exec sleep 1000`, me(t)+`, "types_db": ["`+path+`"]`)
	l.stats("all is counted", func(s *telemetry.Stats) bool {
		return s.PointsOut == 1 && s.Dropped["out_of_range"] == 1 && s.Dropped["unknown_command"] == 1 && s.Dropped["wrong_count"] == 1
	})
}
