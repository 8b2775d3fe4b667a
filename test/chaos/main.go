// Command chaos runs pacewire under faults, one after the other, and publishes what was lost, doubled and put out of order.
//
// All processes are real: the built program, its bus, its plugins. The load, the sink and the oracle that compares both are in
// this process, outside of what is harmed. Only what was acknowledged is owed. See docs/reliability.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/cluster"
	"github.com/pacewire/pacewire/internal/lab"
)

// settings are the flags.
type settings struct {
	binary     string
	failpoints string // empty: rows that need one build it
	only       string
	short      bool
	long       bool
	seed       uint64
	soak       time.Duration
	dir        string
	write      string
	err        io.Writer
}

func main() {
	cluster.Serve()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if signal.Ignored(syscall.SIGHUP) { // by nohup: what we start would ignore hang-ups too, and rows send some
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	if was, err := lab.ServeRawBus(ctx, os.Args[1:]); was {
		exitOn(err)
		return
	}
	s := settings{err: os.Stderr}
	flag.StringVar(&s.binary, "binary", "bin/pacewire", "the program under test")
	flag.StringVar(&s.failpoints, "failpoints", "", "the same, built with the tag failpoint; by default it is built where a row needs it")
	flag.StringVar(&s.only, "rows", "", "run only these, such as F1,F5")
	flag.BoolVar(&s.short, "short", false, "the rows of every change, with shorter faults and a smaller load")
	flag.BoolVar(&s.long, "long", false, "rows of ten minutes instead of shorter ones of the same kind")
	flag.Uint64Var(&s.seed, "seed", 0, "of the schedule of the faults; 0: one that is printed")
	flag.DurationVar(&s.soak, "soak", 0, "run random rows, and random mixes of faults, for so long instead of each row once")
	flag.StringVar(&s.dir, "dir", "", "where stores are kept meanwhile; by default a temporary folder")
	flag.StringVar(&s.write, "write", "", "a file whose table is to be replaced by this one, such as docs/reliability.md; with -rows, only these rows of it")
	flag.Parse()
	exitOn(s.main(ctx, os.Stdout))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// main runs the rows and prints the table. Its error says which failed.
func (s settings) main(ctx context.Context, out io.Writer) error {
	if s.seed == 0 {
		s.seed = rand.Uint64N(1_000_000) // short enough to be typed again
	}
	binary, dir, clean, err := lab.Prepare(s.binary, s.dir, "pacewire-chaos-")
	if err != nil {
		return err
	}
	defer clean()
	s.binary, s.dir = binary, dir
	chosen, err := s.choose(rows())
	if err != nil {
		return err
	}
	results := s.runAll(ctx, chosen)
	table := s.table(ctx, results)
	if _, err := io.WriteString(out, table); err != nil {
		return err
	}
	return errors.Join(ctx.Err(), s.publish(table), verdictOf(results))
}

// choose returns the rows that were asked for, in the order of the table.
func (s settings) choose(all []row) ([]row, error) {
	names := strings.FieldsFunc(s.only, func(r rune) bool { return r == ',' || r == ' ' })
	for _, name := range names {
		if !slices.ContainsFunc(all, func(r row) bool { return r.name == name }) {
			return nil, fmt.Errorf("there is no row %s: the rows are %s", name, strings.Join(namesOf(all), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(r row) bool {
		if len(names) > 0 {
			return !slices.Contains(names, r.name)
		}
		return r.part != nil && !r.part(s) || s.short && !r.short
	}), nil
}

func namesOf(rows []row) (names []string) {
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

// runAll runs the rows one after the other; as a soak, random ones until the time is over.
func (s settings) runAll(ctx context.Context, rows []row) (results []result) {
	fmt.Fprintf(s.err, "seed %d\n", s.seed)
	if s.soak == 0 {
		for _, r := range rows {
			results = s.runOne(ctx, r, results)
		}
		return results
	}
	random, begin := s.randomOf("soak"), time.Now()
	for time.Since(begin) < s.soak && ctx.Err() == nil {
		s.seed = random.Uint64N(1_000_000)
		fmt.Fprintf(s.err, "seed %d\n", s.seed)
		results = s.runOne(ctx, pick(random, rows), results)
	}
	return results
}

// pick returns a random row: at least every second time the mix of faults, if that is one of them.
func pick(random *rand.Rand, rows []row) row {
	mix := slices.IndexFunc(rows, func(r row) bool { return r.name == mixName })
	if mix >= 0 && random.IntN(2) == 0 {
		return rows[mix]
	}
	return rows[random.IntN(len(rows))]
}

func (s settings) runOne(ctx context.Context, r row, before []result) []result {
	if ctx.Err() != nil {
		return before
	}
	fmt.Fprintf(s.err, "%s  %s ...\n", r.name, r.title)
	one := s.run(ctx, r)
	fmt.Fprintf(s.err, "%s  %s\n", r.name, one)
	return append(before, one)
}

// randomOf is the randomness of one thing: the same seed gives it the same again, whatever else runs.
func (s settings) randomOf(what string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, what) // never fails
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}
