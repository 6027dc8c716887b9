package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/bench"
	"github.com/userrequestapi/userdata/deploy/host/ansi"
	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/host/program"
)

// functions measures the functions and prints the result.
func functions(ctx context.Context, _ []string) error {
	variables := environment.New(os.Getenv)
	options := bench.Options{
		Root:       program.Root,
		Folder:     program.StartFolder(),
		Functions:  strings.Fields(os.Getenv("FUNCTION")),
		Databases:  databases(variables),
		MemoryMB:   sizes(variables),
		ColdStarts: variables.Number("COLD_STARTS", bench.DefaultColdStarts, 1, 1000),
		Requests:   variables.Number("REQUESTS", bench.DefaultRequests, 1, 100_000),
		Untraced:   !variables.Flag("TRACED", true),
	}
	asJSON, markdown := variables.Flag("JSON", false), variables.Flag("MARKDOWN", false)
	for baseline := range strings.FieldsSeq(os.Getenv("BASELINE")) {
		b, err := bench.ParseBaseline(baseline)
		if err != nil {
			return fmt.Errorf("BASELINE: %w", err)
		}
		options.Baselines = append(options.Baselines, b)
	}
	if err := variables.Err(); err != nil {
		return err
	}
	before, err := saved("COMPARE")
	if err != nil { // before the measurement, which takes minutes
		return err
	}
	result, err := saved("RESULT")
	if result == nil && err == nil {
		var done func()
		options.Progress, done = progressLine(os.Stderr)
		result, err = bench.Run(ctx, options)
		done()
	}
	if err != nil {
		return err
	}
	format := bench.Format{Markdown: markdown, Bold: func(text string) string {
		return ansi.Bold.Paint(ansi.Color(os.Stdout, os.Getenv), text)
	}}
	comparison := os.Stdout
	if asJSON {
		comparison = os.Stderr
		err = result.WriteJSON(os.Stdout)
	} else {
		err = result.Write(os.Stdout, format)
	}
	if err != nil || before == nil {
		return err
	}
	return result.WriteComparison(comparison, before, format)
}

// saved returns the result in the file that a variable names, or nil.
func saved(variable string) (*bench.Result, error) {
	name := os.Getenv(variable)
	if name == "" {
		return nil, nil //nolint:nilnil // no file is named
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(program.StartFolder(), name)
	}
	result, err := bench.Read(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	return result, nil
}

// databases returns the databases in DATABASE.
func databases(variables *environment.Reader) []bench.Database {
	var names []bench.Database
	for name := range strings.FieldsSeq(os.Getenv("DATABASE")) {
		if !slices.Contains(bench.Databases(), bench.Database(name)) {
			variables.Faultf("DATABASE", "want names out of %v", bench.Databases())
		}
		names = append(names, bench.Database(name))
	}
	return names
}

// sizes returns the memory sizes in MEMORY.
func sizes(variables *environment.Reader) []int {
	text, set := os.LookupEnv("MEMORY")
	if !set {
		text = "128 256 512"
	}
	var sizes []int
	for word := range strings.FieldsSeq(text) {
		size, err := strconv.Atoi(word)
		if err != nil || size < 128 || size > 10240 {
			variables.Faultf("MEMORY", "want sizes from 128 to 10240 MB")
			continue
		}
		sizes = append(sizes, size)
	}
	return sizes
}

// progressLine returns a function that shows a step: on a terminal in one line that is overwritten, otherwise in lines
// of their own, of which only a tenth of the runs have one. done ends the line.
func progressLine(file *os.File) (progress func(step string), done func()) {
	if !term.IsTerminal(int(file.Fd())) {
		last := 0
		return func(step string) {
			var run, all int
			if n, _ := fmt.Sscanf(step, "%d of %d:", &run, &all); n == 2 {
				part := run * 10 / all
				if part == last {
					return
				}
				last = part
			}
			_, _ = fmt.Fprintln(file, step)
		}, func() {}
	}
	const erase = "\r\x1b[K"
	return func(step string) { _, _ = fmt.Fprint(file, erase, step) }, func() { _, _ = fmt.Fprint(file, erase) }
}
