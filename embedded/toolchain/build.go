// Package toolchain builds the programs of the embedded cluster from pinned Go
// modules and keeps them outside the checkout, by version.
package toolchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Builder builds tools into a cache.
type Builder struct {
	// Source is the folder embedded/tools of the checkout.
	Source string
	// Cache is where binaries are kept, see CacheDir.
	Cache string
	// Report is told what is being done; see progress.Printer.
	Report func(step string, work func() error) error
}

// CacheDir is CARAVAN_CACHE, or caravan in the user's cache folder (~/.cache).
func CacheDir() (string, error) {
	if dir := os.Getenv("CARAVAN_CACHE"); dir != "" {
		return dir, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache folder (set CARAVAN_CACHE): %w", err)
	}
	return filepath.Join(base, "caravan"), nil
}

// Built maps the name of each binary, link and artefact to its path.
type Built map[string]string

// Missing names the tools of the groups that have to be built.
func (b *Builder) Missing(groups ...Group) ([]string, error) {
	var missing []string
	for _, tool := range toolsOf(groups) {
		path, err := b.path(tool)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, tool.Name)
		}
	}
	return missing, nil
}

func toolsOf(groups []Group) []Tool {
	return slices.DeleteFunc(Tools(), func(t Tool) bool { return !slices.Contains(groups, t.Group) })
}

// Build makes the tools of the groups that the cache does not hold yet, and
// returns the paths of all of them.
func (b *Builder) Build(ctx context.Context, groups ...Group) (Built, error) {
	unlock, err := b.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	built := Built{}
	tools := toolsOf(groups)
	for i, tool := range tools {
		out, err := b.path(tool)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(out); err != nil {
			step := fmt.Sprintf("building %s %s (%d of %d)", tool.Name, tool.Version, i+1, len(tools))
			if err := b.Report(step, func() error { return b.build(ctx, tool, out) }); err != nil {
				return nil, fmt.Errorf("building %s: %w", tool.Name, err)
			}
		}
		if err := built.add(out); err != nil {
			return nil, err
		}
	}
	return built, b.clean()
}

// lock keeps others out of the cache, who would build the same or clean up too early.
func (b *Builder) lock() (func(), error) {
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(b.Cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	wait := func() error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX) }
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		if err := b.Report("waiting for another build in "+b.Cache, wait); err != nil {
			return nil, err
		}
	}
	return func() { _ = file.Close() }, nil
}

// clean removes what only builds need: compiled packages, which are gigabytes,
// and the scratch folders of builds that were killed.
func (b *Builder) clean() error {
	scratch, err := filepath.Glob(filepath.Join(b.Cache, "tools", "*", ".building-*"))
	if err != nil {
		return err
	}
	for _, dir := range append(scratch, b.compileCache()) {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

func (b Built) add(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the tool cache: %w", err)
	}
	for _, e := range entries {
		b[e.Name()] = filepath.Join(dir, e.Name())
	}
	return nil
}

func (b *Builder) compileCache() string { return filepath.Join(b.Cache, "go-build") }

// path is where a tool's binaries lie: its name, version and a hash of all that shapes them.
func (b *Builder) path(tool Tool) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), runtime.GOARCH, tool.Version, tool.Programs)
	root := filepath.Join(b.Source, tool.folder())
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintln(sum, strings.TrimPrefix(path, root), len(content))
		sum.Write(content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading the tool module %s: %w", tool.Name, err)
	}
	key := hex.EncodeToString(sum.Sum(nil))[:12]
	return filepath.Join(b.Cache, "tools", tool.Name, tool.Version+"-"+key), nil
}

// build is one tool being built: into a scratch folder that is renamed when all
// of it is there, so an interrupted build leaves nothing that looks whole.
type build struct {
	ctx      context.Context
	source   string
	out      string
	scratch  string
	env      []string
	overlays map[string]string
}

// build builds one tool. Compilers run without collecting garbage up to a limit
// each, and write no debugging information, which the binaries are stripped of
// anyway: 36 % less time for k8s.io/client-go/kubernetes on two cores.
func (b *Builder) build(ctx context.Context, tool Tool, out string) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(out), ".building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	t := &build{ctx: ctx, source: filepath.Join(b.Source, tool.folder()), scratch: scratch, out: filepath.Join(scratch, "out"), overlays: map[string]string{}}
	cgo := "0"
	if tool.Cgo {
		cgo = "1"
	}
	t.env = []string{"CGO_ENABLED=" + cgo, "GOCACHE=" + b.compileCache(), "GOWORK=off",
		"GOFLAGS=-mod=readonly -trimpath -buildvcs=false -gcflags=all=-dwarf=false",
		"GOGC=off", "GOMEMLIMIT=1536MiB"}
	if err := os.Mkdir(t.out, 0o755); err != nil {
		return err
	}
	if err := t.run(tool); err != nil {
		return err
	}
	return os.Rename(t.out, out)
}

func (t *build) run(tool Tool) error {
	if tool.Prepare != nil {
		if err := tool.Prepare(t); err != nil {
			return err
		}
	}
	overlay, err := t.writeOverlay()
	if err != nil {
		return err
	}
	for _, p := range tool.Programs {
		if err := t.command("go", "build", "-overlay", overlay, "-ldflags", strings.TrimSpace("-s -w "+p.LDFlags), "-o", filepath.Join(t.out, p.File), p.Package); err != nil {
			return err
		}
		for _, link := range p.Links {
			if err := os.Symlink(p.File, filepath.Join(t.out, link)); err != nil {
				return err
			}
		}
	}
	if tool.Finish != nil {
		return tool.Finish(t)
	}
	return nil
}

// command runs a program in the tool's module; its output is the error when it fails.
func (t *build) command(name string, args ...string) error {
	cmd := exec.CommandContext(t.ctx, name, args...)
	cmd.Dir, cmd.Env = t.source, append(os.Environ(), t.env...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, tail(output, 30))
	}
	return nil
}

// moduleDir is where the module cache holds a module at the tool's version of it.
func (t *build) moduleDir(module string) (string, error) { return ModuleDir(t.ctx, t.source, module) }

// ModuleDir downloads a module, at the version that the go.mod in dir pins, and returns its folder.
func ModuleDir(ctx context.Context, dir, module string) (string, error) {
	for _, args := range [][]string{{"mod", "download", module}, {"list", "-m", "-f", "{{.Dir}}", module}} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		output, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("locating module %s: %w\n%s", module, err, stderr.String())
		}
		if path := strings.TrimSpace(string(output)); args[0] == "list" && path != "" {
			return path, nil
		}
	}
	return "", fmt.Errorf("locating module %s: it is not in the module cache", module)
}

// overlay lays content over a path of the tool's module for the time of the build.
func (t *build) overlay(path string, content []byte) error {
	file := filepath.Join(t.scratch, strings.ReplaceAll(path, "/", "_"))
	t.overlays[filepath.Join(t.source, path)] = file
	return os.WriteFile(file, content, 0o644)
}

func (t *build) writeOverlay() (string, error) {
	content, err := json.Marshal(map[string]map[string]string{"Replace": t.overlays})
	if err != nil {
		return "", err
	}
	path := filepath.Join(t.scratch, "overlay.json")
	return path, os.WriteFile(path, content, 0o644)
}

// withVersion puts a version into a provider's schema, as the provider's release build does.
func withVersion(schema []byte, version string) ([]byte, error) {
	var document map[string]json.RawMessage
	if err := json.Unmarshal(schema, &document); err != nil {
		return nil, fmt.Errorf("parsing the provider's schema: %w", err)
	}
	document["version"] = json.RawMessage(`"` + version + `"`)
	return json.Marshal(document)
}

func tail(output []byte, lines int) []byte {
	all := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
}
