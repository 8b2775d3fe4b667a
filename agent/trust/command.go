package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Command checks a command of the config; look finds a program that is named without a folder, by default on PATH. The
// error and the verdict are those of Check, about the file that is the plugin:
//
//   - args[0], as a rule;
//   - the first argument that is the absolute path of a regular file and no interpreter, if args[0] is one or starts
//     other programs: python3 /opt/fan.py, env LANG=C /usr/bin/python3 /opt/fan.py.
//
// Policy is about that file. Of the interpreter only the permissions are looked at: it is the system's. The other
// arguments are data.
func (c *Checker) Command(args []string, look func(name string) (string, error), want Policy) (*Verdict, error) {
	v := &Verdict{Args: slices.Clone(args)}
	if len(args) == 0 || args[0] == "" {
		return v, errors.New("check program: command is empty")
	}
	program, err := find(args[0], look)
	v.Path, v.Args[0] = program, program
	if err != nil {
		return v, want.notOnPath(v, err)
	}
	place := script(args)
	if place == 0 {
		return v, c.check(v, want, 0)
	}
	v.Path = args[place]
	err = c.check(v, want, place)
	return v, c.besides(v, program, want, err)
}

// besides adds what is wrong with the interpreter of a script to what was found out about that.
func (c *Checker) besides(v *Verdict, program string, want Policy, err error) error {
	found := interpreter(program)
	if want.Level == Off || len(found) == 0 {
		return err
	}
	v.Findings = append(v.Findings, found...)
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case refused:
		refusal.Findings = append(refusal.Findings, found...)
		return err
	case err != nil:
		return err
	}
	return want.judge(v.Path, found)
}

// interpreter says who besides root and the agent's user may exchange the program that reads a script.
func interpreter(program string) []Finding {
	_, found, err := Way(program)
	if err != nil {
		return []Finding{finding(NotFound, "there is no program %s: %v", program, err)}
	}
	return found
}

func find(name string, look func(name string) (string, error)) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	if look == nil {
		look = exec.LookPath
	}
	path, err := look(name)
	if err != nil {
		return name, err
	}
	return path, nil
}

func (p Policy) notOnPath(v *Verdict, err error) error {
	code := NotFound
	if errors.Is(err, fs.ErrPermission) {
		code = NotExecutable
	}
	v.Findings = []Finding{finding(code, "%v", fmt.Errorf("program %s: %w", v.Path, err))}
	return p.judge(v.Path, v.Findings)
}

// starters are programs whose arguments name the one that is meant; versions at the end of a name do not count.
var starters = []string{
	"ash", "bash", "bun", "busybox", "dash", "deno", "env", "fish", "ionice", "java", "ksh", "lua", "luajit", "nice", "node", "nodejs",
	"nohup", "perl", "php", "pypy", "python", "Rscript", "ruby", "setpriv", "sh", "stdbuf", "sudo", "taskset", "tclsh", "timeout", "zsh",
}

// script returns the place of the file that is the plugin.
func script(args []string) int {
	if !starts(args[0]) {
		return 0
	}
	for i, arg := range args[1:] {
		if !filepath.IsAbs(arg) || starts(arg) {
			continue
		}
		if info, err := os.Stat(arg); err == nil && info.Mode().IsRegular() {
			return i + 1
		}
	}
	return 0
}

// starts reports whether a program is known to start another one.
func starts(name string) bool {
	return slices.Contains(starters, strings.TrimRight(filepath.Base(name), "0123456789.-"))
}
