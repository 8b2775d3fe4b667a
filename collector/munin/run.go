package munin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	decode "github.com/pacewire/pacewire/internal/decode/munin"
	"github.com/pacewire/pacewire/internal/process"
	"github.com/pacewire/pacewire/plugin"
)

// maxOutput is how much is kept of what a plugin prints in one run.
const maxOutput = 8 << 20

// searchPath is where plugins look for programs, as munin-node has it, with what the operator has installed before it.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A job is one plugin that is due.
type job struct {
	name    string
	path    string
	limit   time.Duration // of each of its runs
	section section
	spec    child.Spec
	fault   error // why it cannot be run
}

// A result is what became of a job.
type result struct {
	child.Result // of the run that came last
	output       decode.Output
	began, ended time.Time // of all of it
	reason       string    // why there is nothing, as in check_state
	err          error
}

// newJob prepares a plugin.
func newJob(cfg Config, env plugin.Env, path string, s section) job {
	j := job{name: filepath.Base(path), path: path, limit: cmp.Or(s.timeout, cfg.Limit.Std()), section: s}
	j.spec, j.fault = newSpec(cfg, env, j.name, s)
	return j
}

// newSpec says who runs a plugin, with what environment, and where it keeps its state.
func newSpec(cfg Config, env plugin.Env, name string, s section) (child.Spec, error) {
	who := cmp.Or(s.user, cfg.User)
	base := cmp.Or(cfg.StateDir, filepath.Join(env.Dir, "state"))
	state := filepath.Join(base, cmp.Or(who, "own"))
	environ, err := child.EnvironOf(os.Environ(), who, variables(cfg, name, state, s.env))
	if err != nil {
		return child.Spec{}, err
	}
	return child.Spec{
		User: who, Groups: existing(s.groups), Dir: "/", Env: environ,
		Stderr: child.Log(env.Log.With("munin_plugin", name), slog.LevelInfo),
	}, makeState(base, state, who)
}

// variables are those that munin-node sets, unless the plugin's config says otherwise.
func variables(cfg Config, name, state string, own map[string]string) map[string]string {
	all := decode.Variables(cfg.LibDir)
	all["PATH"], all["LANG"] = searchPath, "C.UTF-8"
	all["MUNIN_PLUGSTATE"], all["MUNIN_STATEFILE"] = state, filepath.Join(state, name+"--")
	maps.Copy(all, own)
	return all
}

// existing returns groups without those in parentheses that this machine does not have.
func existing(groups []string) (list []string) {
	for _, name := range groups {
		if inner, ok := strings.CutPrefix(name, "("); ok {
			name = strings.TrimSuffix(inner, ")")
			if _, err := user.LookupGroup(name); err != nil {
				continue
			}
		}
		list = append(list, name)
	}
	return list
}

// makeState makes the folder dir below base for the state of the plugins of a user, unless it is there. It is that user's alone.
func makeState(base, dir, who string) error {
	const others = 0o002
	if info, err := os.Stat(base); err == nil && info.Mode().Perm()&others != 0 { // who comes first would choose what plugins of root read
		return fmt.Errorf("state_dir: anybody may write to %s: name a folder that others may not write to", base)
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	if err := process.GiveTo(dir, who); err != nil {
		return errors.Join(err, os.Remove(dir)) // the next run would take it for that user's
	}
	return nil
}

// run runs a plugin: for its config, and for its values unless they came along.
func (j job) run(ctx context.Context) (r result) {
	r.began = time.Now()
	defer func() { r.ended = time.Now().Truncate(time.Microsecond) }()
	if j.fault != nil {
		r.Exit.Code, r.reason, r.err = -1, child.NotExecutable, fmt.Errorf("%s: %w", j.name, j.fault)
		return r
	}
	if j.once(ctx, &r, "config"); r.err != nil || r.output.Values() {
		return r
	}
	j.once(ctx, &r)
	return r
}

// once runs a plugin one time.
func (j job) once(ctx context.Context, r *result, args ...string) {
	limit := j.limit
	if end, ok := ctx.Deadline(); ok { // that of all plugins together
		limit = min(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	spec := j.spec
	spec.Command = j.command(args)
	var err error
	if r.Result, err = child.Run(ctx, spec, nil, maxOutput, 0); err != nil {
		r.Exit.Code = -1
		r.reason, r.err = cmp.Or(child.ReasonOf(err), child.NotExecutable), fmt.Errorf("%s: %w", j.name, err)
		return
	}
	what := strings.Join(append([]string{j.name}, args...), " ")
	switch {
	case r.Late:
		r.err = fmt.Errorf("%s: no end within %v", what, limit)
	case r.Exit.Code != 0 && r.LastLine != "":
		r.err = fmt.Errorf("%s: %s: %s", what, r.Exit, r.LastLine)
	case r.Exit.Code != 0:
		r.err = fmt.Errorf("%s: %s", what, r.Exit)
	case r.Cut:
		r.err = fmt.Errorf("%s: it prints more than %d MiB", what, maxOutput>>20)
	default:
		r.output.Read(r.Stdout)
		return
	}
	r.reason = cmp.Or(r.Reason(), exitCode)
}

// command returns how a plugin is started: by its own name, or as its config says, where %c stands for it.
func (j job) command(args []string) (list []string) {
	if len(j.section.command) == 0 {
		return append([]string{j.path}, args...)
	}
	for _, word := range j.section.command {
		list = append(list, strings.ReplaceAll(word, "%c", j.path))
		if strings.Contains(word, "%c") {
			list = append(list, args...)
		}
	}
	return list
}
