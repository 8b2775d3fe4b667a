package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// ChainConfig is the config of a chain.
type ChainConfig struct {
	Steps []map[string]json.RawMessage `json:"steps" jsonschema:"processors in their order, each with use and its own settings"`

	known map[string]plugin.Definition // of programs, by name
}

// Validate asks each step's program about its settings.
func (c ChainConfig) Validate() error {
	if len(c.Steps) == 0 {
		return errors.New("steps: none is given: list what is to be done, such as { use: tag, add: { site: lab } }")
	}
	var faults []error
	for i, step := range c.Steps {
		d, settings, err := c.read(step)
		if err == nil {
			err = d.Check(settings)
		}
		if err != nil {
			faults = append(faults, stepFault(i, d, err))
		}
	}
	return errors.Join(faults...)
}

// read returns the program of a step, and its settings.
func (c ChainConfig) read(step map[string]json.RawMessage) (plugin.Definition, []byte, error) {
	var use string
	_ = json.Unmarshal(step["use"], &use) // the schema wants a text; without one there is no such program
	d, ok := c.known[use]
	if !ok {
		return d, nil, fmt.Errorf("use: there is no processor %q, but there are %s", use, strings.Join(slices.Sorted(maps.Keys(c.known)), ", "))
	}
	settings := maps.Clone(step)
	delete(settings, "use")
	text, err := json.Marshal(settings)
	return d, text, err
}

// stepFault says in which step err is.
func stepFault(i int, d plugin.Definition, err error) error {
	if d.Program == "" {
		return fmt.Errorf("steps: number %d: %w", i+1, err)
	}
	return fmt.Errorf("steps: number %d, %s: %w", i+1, d.Program, err)
}

// Chain describes the processor chain, which runs several of programs one after the other in one process. It spares the way
// over the bus between steps that belong together, and gives up that each can fail, hang and be replaced alone.
func Chain(programs []plugin.Definition) plugin.Definition {
	known := map[string]plugin.Definition{}
	for _, d := range programs {
		known[d.Program] = d
	}
	d := Define(Spec[ChainConfig]{
		Program: "chain",
		Summary: "Runs several processors one after the other in one process.",
		Config:  ChainConfig{Steps: []map[string]json.RawMessage{}, known: known},
		New: func(ctx context.Context, cfg ChainConfig, env plugin.Env) (Processor, error) {
			return newChain(ctx, cfg, env)
		},
	})
	d.Schema = sync.OnceValue(func() json.RawMessage { return chainSchema(programs) })
	return d
}

// chainSchema says that each step has the settings of the program it uses.
func chainSchema(programs []plugin.Definition) json.RawMessage {
	var names []string
	var steps []any
	for _, d := range programs {
		var settings struct {
			Properties map[string]any `json:"properties"`
		}
		if err := json.Unmarshal(d.Schema(), &settings); err != nil {
			panic(fmt.Sprintf("processor: schema of %s: %v", d.Program, err))
		}
		settings.Properties["use"] = map[string]any{"const": d.Program}
		names = append(names, d.Program)
		steps = append(steps, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"use": map[string]any{"const": d.Program}}},
			"then": map[string]any{"properties": settings.Properties, "additionalProperties": false},
		})
	}
	text, err := json.Marshal(map[string]any{
		"type": "object", "additionalProperties": false,
		"properties": map[string]any{"steps": map[string]any{
			"type": "array", "default": []any{}, "description": "processors in their order, each with use and its own settings",
			"items": map[string]any{
				"type": "object", "required": []string{"use"}, "allOf": steps,
				"properties": map[string]any{"use": map[string]any{
					"type": "string", "enum": names, "description": "the program of the step"}},
			},
		}},
	})
	if err != nil {
		panic(fmt.Sprintf("processor: schema of chain: %v", err))
	}
	return text
}

// chain hands each batch from step to step.
type chain struct {
	steps   []Processor
	between []telemetry.Batch // what step i puts out, but for the last
}

func newChain(ctx context.Context, cfg ChainConfig, env plugin.Env) (Processor, error) {
	c := &chain{between: make([]telemetry.Batch, len(cfg.Steps))}
	for i, step := range cfg.Steps {
		d, settings, err := cfg.read(step)
		var p Processor
		if err == nil {
			p, err = newStep(ctx, d, settings, env)
		}
		if err != nil {
			return nil, errors.Join(stepFault(i, d, err), c.Close())
		}
		c.steps = append(c.steps, p)
	}
	return c, nil
}

func newStep(ctx context.Context, d plugin.Definition, settings []byte, env plugin.Env) (Processor, error) {
	made, err := d.Build(ctx, settings, env)
	if err != nil {
		return nil, err
	}
	p, ok := made.(Processor)
	if _, windows := made.(Flusher); ok && !windows {
		return p, nil
	}
	if closer, ok := made.(io.Closer); ok {
		err = closer.Close()
	}
	why := errors.New("it works by windows: give it a plugin of its own")
	if !ok {
		why = errors.New("what it makes belongs to no batch: give it a plugin of its own")
	}
	return nil, plugin.Permanent(errors.Join(why, err))
}

// Process brings in through all steps.
func (c *chain) Process(ctx context.Context, in, out *telemetry.Batch) error {
	for i, step := range c.steps {
		to := out
		if i < len(c.steps)-1 {
			to = &c.between[i]
			to.Reset()
			to.SetHost(in.Host())
		}
		if err := step.Process(ctx, in, to); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		if to != out {
			for code, n := range to.Drops() {
				out.Drops()[code] += n
			}
		}
		in = to
	}
	return nil
}

// Close closes the steps.
func (c *chain) Close() error {
	var faults []error
	for _, p := range c.steps {
		if closer, ok := p.(io.Closer); ok {
			faults = append(faults, closer.Close())
		}
	}
	return errors.Join(faults...)
}
