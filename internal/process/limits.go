package process

// Limits bound what a process and all it starts may use. A field that is 0 bounds nothing.
type Limits struct {
	// Memory is in bytes. Who is above it is killed: Exit.OOM.
	Memory int64
	// CPU is in cores: 0.5 is half of one. It is held by a cgroup alone: see Process.Unheld.
	CPU float64
	// Files is how many descriptors each process may have.
	Files int
	// Processes counts the processes and their threads.
	Processes int
}

// Unheld names the limits that nothing here can hold, for want of a cgroup.
func (p *Process) Unheld() []string { return nil }
