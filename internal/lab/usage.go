package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CPU returns what a process has used of the CPU, user and system: of its threads that live, to the nanosecond. Where the
// kernel does not tell that, it is of all threads, to 10 ms.
func CPU(pid int) (time.Duration, error) {
	if ran, err := ranOf(pid); err == nil {
		return ran, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs Go
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// ranOf sums up what the threads of a process have run.
func ranOf(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, errors.Join(err, os.ErrNotExist)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		ran, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// Memory returns a line of a file of /proc/PID, such as VmRSS: of status, in bytes; 0 when it is not there.
func Memory(pid int, file, key string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == key {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// Below returns the processes that those have started, and so on.
func Below(pids ...int) (found []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	parents := map[int]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var pid, parent int
		_, after, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(after); len(f) > 1 {
			pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
			parent, _ = strconv.Atoi(f[1])
		}
		parents[pid] = parent
	}
	for more := pids; len(more) > 0; {
		var next []int
		for pid, parent := range parents {
			if slices.Contains(more, parent) {
				next = append(next, pid)
			}
		}
		found, more = append(found, next...), next
	}
	return found
}

// FreePort returns a TCP port of the loopback that nobody uses.
func FreePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Machine says what figures were measured on.
func Machine() string {
	model := "unknown CPU"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", model, runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format("2006-01-02"))
}
