// Package images writes the container images of the embedded cluster from
// binaries that were built here and from files of Debian packages: no registry
// is needed. Each image carries its program under the path that the published
// image of the same program has, so the same pod runs on both.
package images

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"caravan.dev/embedded/toolchain"
)

// Registry prefixes the names of all images; no host answers to it, so a pod
// that asks for an image that was not built fails at once and is not pulled from elsewhere.
const Registry = "caravan.local/"

// Image is what goes into one image.
type Image struct {
	// Name and Tag follow Registry.
	Name, Tag string
	// Files maps paths in the image to files or folders on this machine. The
	// shared libraries of dynamic binaries are added.
	Files map[string]string
	// Links maps paths in the image to what they point to.
	Links map[string]string
	// User is the numeric user that the image runs as; pods may override it.
	User string
	// Entrypoint is the program that runs when the pod names none.
	Entrypoint []string
	// StopSignal asks the program to end; empty is SIGTERM.
	StopSignal string
}

// Reference is the name that pods use.
func (i Image) Reference() string { return Registry + i.Name + ":" + i.Tag }

// All are the images of the cluster, KEDA and the worker pod.
func All(built toolchain.Built) []Image {
	busybox := Image{Name: "busybox", Tag: "debian12", Files: map[string]string{"/bin/busybox": "/bin/busybox"}, Links: map[string]string{}, User: "0"}
	for _, applet := range []string{"sh", "mkdir", "rm"} {
		busybox.Links["/bin/"+applet] = "busybox"
	}
	return []Image{
		static("pause", toolchain.KubernetesVersion, "/pause", built["pause"], "65535"),
		busybox,
		static("coredns", toolchain.CoreDNSVersion, "/coredns", built["coredns"], "65532"),
		static("metrics-server", toolchain.MetricsServerVersion, "/metrics-server", built["metrics-server"], "65532"),
		static("local-path-provisioner", toolchain.LocalPathVersion, "/usr/bin/local-path-provisioner", built["local-path-provisioner"], "0"),
		static("keda", toolchain.KedaVersion, "/keda", built["keda"], "65532"),
		static("keda-metrics-apiserver", toolchain.KedaVersion, "/keda-adapter", built["keda-adapter"], "65532"),
		static("keda-admission-webhooks", toolchain.KedaVersion, "/keda-admission-webhooks", built["keda-admission-webhooks"], "65532"),
		static("bento", toolchain.BentoVersion, "/bento", built["bento"], "10001"),
		// HAProxy leaves SIGTERM to the kernel, which ignores it for a container's first process.
		{Name: "haproxy", Tag: HAProxyVersion, User: "99", Entrypoint: []string{"haproxy"}, StopSignal: "SIGUSR1", Files: map[string]string{
			"/usr/local/sbin/haproxy": "/usr/sbin/haproxy",
		}},
		{Name: "redis", Tag: RedisVersion, User: "999", Entrypoint: []string{"redis-server"}, Files: map[string]string{
			"/usr/local/bin/redis-server": "/usr/bin/redis-check-rdb", // one program under several names
			"/usr/local/bin/redis-cli":    "/usr/bin/redis-cli",
		}},
		{Name: "ollama", Tag: toolchain.OllamaVersion, User: "10001", Entrypoint: []string{"/usr/bin/ollama", "serve"}, Files: map[string]string{
			"/usr/bin/ollama": built["ollama"],
			"/models":         built["models"],
		}, Links: map[string]string{"/bin/ollama": "/usr/bin/ollama"}},
	}
}

// The upstream versions of the Debian packages that two images are made of.
const (
	HAProxyVersion = "2.6.12"
	RedisVersion   = "7.0.15"
)

func static(imageName, tag, path, file, user string) Image {
	return Image{Name: imageName, Tag: tag, User: user, Entrypoint: []string{path}, Files: map[string]string{path: file}}
}

// Archive writes all images into one archive in the cache and returns its path;
// it is kept until one of the files that go into it changes.
func Archive(images []Image, cache string) (string, error) {
	key, err := fingerprint(images)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "images")
	path := filepath.Join(dir, key+".tar")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	scratch := filepath.Join(dir, "scratch")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	written := map[name.Reference]v1.Image{}
	for _, image := range images {
		reference, err := name.ParseReference(image.Reference())
		if err != nil {
			return "", err
		}
		if written[reference], err = write(image, scratch); err != nil {
			return "", fmt.Errorf("writing image %s: %w", image.Name, err)
		}
	}
	partial := filepath.Join(dir, key+".partial")
	if err := tarball.MultiRefWriteToFile(partial, written); err != nil {
		return "", fmt.Errorf("writing the image archive: %w", err)
	}
	return path, os.Rename(partial, path)
}

// fingerprint covers what the images are made of. Built binaries lie in folders
// named by a hash; package files are told by size and time.
func fingerprint(images []Image) (string, error) {
	sum := sha256.New()
	for _, image := range images {
		fmt.Fprintf(sum, "%+v\n", image)
		for _, target := range slices.Sorted(maps.Keys(image.Files)) {
			info, err := os.Stat(image.Files[target])
			if err != nil {
				return "", fmt.Errorf("image %s: %w", image.Name, err)
			}
			fmt.Fprintln(sum, info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func write(image Image, scratch string) (v1.Image, error) {
	files, err := withLibraries(image.Files)
	if err != nil {
		return nil, err
	}
	layerFile := filepath.Join(scratch, image.Name+".tar")
	if err := writeLayer(layerFile, files, image.Links); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromFile(layerFile, tarball.WithCompression(compression.None))
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = "amd64", "linux"
	config.Config.Entrypoint, config.Config.User, config.Config.StopSignal = image.Entrypoint, image.User, image.StopSignal
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}
	return mutate.ConfigFile(img, config)
}

// libraryLine is a line of ldd's output: `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)` or the loader alone.
var libraryLine = regexp.MustCompile(`(?:=> )?(/\S+) \(0x`)

// withLibraries adds the shared libraries that the files need, at their own paths.
func withLibraries(files map[string]string) (map[string]string, error) {
	all := map[string]string{"/etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt"}
	for target, source := range files {
		all[target] = source
		info, err := os.Stat(source)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			continue
		}
		output, err := exec.Command("ldd", source).CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) { // exit 1: not a dynamic executable
			return nil, fmt.Errorf("listing the libraries of %s: %w", source, err)
		}
		for _, match := range libraryLine.FindAllStringSubmatch(string(output), -1) {
			all[match[1]] = match[1]
		}
	}
	return all, nil
}

func writeLayer(path string, files, links map[string]string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	l := layer{tar.NewWriter(out), map[string]bool{}}
	if err := l.header(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return err
	}
	users := "root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n"
	if err := l.content("/etc/passwd", int64(len(users)), 0o644, strings.NewReader(users)); err != nil {
		return err
	}
	for _, target := range slices.Sorted(maps.Keys(files)) {
		if err := l.add(target, files[target]); err != nil {
			return err
		}
	}
	for _, link := range slices.Sorted(maps.Keys(links)) {
		if err := l.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: link, Linkname: links[link]}); err != nil {
			return err
		}
	}
	if err := l.tar.Close(); err != nil {
		return err
	}
	return out.Close()
}

// layer writes a tar with parent folders made once.
type layer struct {
	tar  *tar.Writer
	made map[string]bool
}

// add copies a file or a whole folder; everything becomes readable by every user.
func (l layer) add(target, source string) error {
	return filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		relative, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		return l.content(filepath.Join(target, relative), info.Size(), 0o444|info.Mode().Perm()&0o111, file)
	})
}

func (l layer) content(target string, size int64, mode fs.FileMode, content io.Reader) error {
	if err := l.header(&tar.Header{Typeflag: tar.TypeReg, Name: target, Size: size, Mode: int64(mode)}); err != nil {
		return err
	}
	_, err := io.Copy(l.tar, content)
	return err
}

func (l layer) header(h *tar.Header) error {
	h.Name = strings.TrimPrefix(h.Name, "/")
	parts := strings.Split(strings.TrimSuffix(h.Name, "/"), "/")
	for i := 1; i < len(parts); i++ {
		dir := strings.Join(parts[:i], "/") + "/"
		if l.made[dir] {
			continue
		}
		l.made[dir] = true
		if err := l.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return err
		}
	}
	return l.tar.WriteHeader(h)
}
