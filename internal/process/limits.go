package process

import "fmt"

// Limits bound what a process and all it starts may use. A field that is 0 bounds nothing.
type Limits struct {
	// Memory is in bytes. Who is above it is killed: Exit.OOM.
	Memory int64 `json:"memory,omitempty"`
	// CPU is in cores: 0.5 is half of one. Only a cgroup can hold it: see Process.Unheld.
	CPU float64 `json:"cpu,omitempty"`
	// Files is how many descriptors each process may have.
	Files int `json:"files,omitempty"`
	// Processes counts the processes and their threads. Who is above it is killed, or cannot start another one.
	Processes int `json:"processes,omitempty"`
}

// Unheld names the limits that nothing here can hold, for want of a cgroup.
func (p *Process) Unheld() []string {
	if p.limits.CPU > 0 && !p.group.holds("cpu") {
		return []string{"cpu"}
	}
	return nil
}

func memoryLimit(l Limits) string { return "memory limit of " + size(l.Memory) }

func processLimit(l Limits) string {
	return fmt.Sprintf("limit of %d processes and threads", l.Processes)
}

// size writes bytes in the largest unit that leaves no rest.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for ; i < len(units)-1 && n >= 1<<10 && n%(1<<10) == 0; i++ {
		n >>= 10
	}
	return fmt.Sprintf("%d %s", n, units[i])
}
