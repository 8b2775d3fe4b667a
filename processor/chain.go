package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// ChainConfig is the config of a chain.
type ChainConfig struct {
	Steps []map[string]any `json:"steps" jsonschema:"processors in their order, each with use and its own settings"`
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
		Config:  ChainConfig{Steps: []map[string]any{}},
		New: func(ctx context.Context, cfg ChainConfig, env plugin.Env) (Processor, error) {
			return newChain(ctx, cfg, env, known)
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
				"properties": map[string]any{"use": map[string]any{"type": "string", "enum": names}},
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

func newChain(ctx context.Context, cfg ChainConfig, env plugin.Env, known map[string]plugin.Definition) (*chain, error) {
	c := &chain{between: make([]telemetry.Batch, len(cfg.Steps))}
	var faults []error
	for i, step := range cfg.Steps {
		p, err := newStep(ctx, step, env, known)
		if err != nil {
			faults = append(faults, fmt.Errorf("steps: number %d: %w", i+1, err))
			continue
		}
		c.steps = append(c.steps, p)
	}
	if len(cfg.Steps) == 0 {
		faults = append(faults, errors.New("steps: none is given: list what is to be done, such as { use: tag, add: { site: lab } }"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, plugin.Permanent(errors.Join(err, c.Close()))
	}
	return c, nil
}

func newStep(ctx context.Context, step map[string]any, env plugin.Env, known map[string]plugin.Definition) (Processor, error) {
	use, _ := step["use"].(string)
	d, ok := known[use]
	if !ok {
		var names []string
		for name := range known {
			names = append(names, name)
		}
		return nil, fmt.Errorf("use: no processor %q: there are %s", use, strings.Join(names, ", "))
	}
	settings := map[string]any{}
	for key, v := range step {
		if key != "use" {
			settings[key] = v
		}
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	made, err := d.Build(ctx, text, env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", use, err)
	}
	p, ok := made.(Processor)
	if _, windows := made.(Flusher); windows || !ok {
		return nil, fmt.Errorf("%s works by windows: give it a plugin of its own", use)
	}
	return p, nil
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
			return err
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
