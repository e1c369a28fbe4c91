// Command tinymodel puts a language model that needs no download into an Ollama
// store: a real, valid, 4-layer llama of 2.8 million parameters with a byte-level
// tokenizer and random weights. It is a stand-in for a trained model: it answers
// in lower-case gibberish. It takes the true path (load, tokenize, generate,
// sample, stop at num_predict), not the true meaning.
//
// The weights come from a fixed seed, so every build yields the same model.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ollama/ollama/fs/ggml"
)

// The shape of the model. Context is the longest prompt and answer together, in tokens (= bytes).
const (
	width         = 256
	layers        = 4
	heads         = 4
	hidden        = 512
	contextLength = 2048
	bos           = 256
	eos           = 257
	vocab         = 258
)

func main() {
	log.SetFlags(0)
	ollama := flag.String("ollama", "ollama", "the ollama binary")
	store := flag.String("store", "", "the folder to hold the model (OLLAMA_MODELS)")
	name := flag.String("name", "caravan-tiny", "the model's name")
	flag.Parse()
	if err := run(*ollama, *store, *name); err != nil {
		log.Fatalf("tinymodel: %v", err)
	}
}

func run(ollama, store, name string) error {
	scratch, err := os.MkdirTemp("", "tinymodel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := writeModel(filepath.Join(scratch, "model.gguf")); err != nil {
		return fmt.Errorf("writing the model: %w", err)
	}
	// One thread: several workers share few cores, and threads that wait for each
	// other by spinning take the cores from one another.
	modelfile := "FROM ./model.gguf\nTEMPLATE {{ .Prompt }}\nPARAMETER num_thread 1\n"
	if err := os.WriteFile(filepath.Join(scratch, "Modelfile"), []byte(modelfile), 0o644); err != nil {
		return err
	}
	return create(ollama, store, name, scratch)
}

// create lets a short-lived Ollama server take the model into the store.
func create(ollama, store, name, dir string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	env := append(os.Environ(), "OLLAMA_HOST="+address, "OLLAMA_MODELS="+store, "HOME="+dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server := exec.CommandContext(ctx, ollama, "serve")
	var logs bytes.Buffer
	server.Env, server.Stdout, server.Stderr = env, &logs, &logs
	if err := server.Start(); err != nil {
		return fmt.Errorf("starting ollama: %w", err)
	}
	defer func() { _ = server.Process.Signal(os.Interrupt); _ = server.Wait() }()
	if err := await(ctx, "http://"+address+"/api/version"); err != nil {
		return fmt.Errorf("%w\n%s", err, logs.String())
	}
	command := exec.CommandContext(ctx, ollama, "create", name, "-f", "Modelfile")
	command.Env, command.Dir = env, dir
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ollama create: %w\n%s", err, output)
	}
	return nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func await(ctx context.Context, url string) error {
	for {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for ollama: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func writeModel(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := ggml.WriteGGUF(file, settings(), tensors()); err != nil {
		return err
	}
	return file.Close()
}

func settings() ggml.KV {
	return ggml.KV{
		"general.architecture":                   "llama",
		"general.name":                           "caravan-tiny",
		"general.file_type":                      uint32(0),
		"llama.block_count":                      uint32(layers),
		"llama.context_length":                   uint32(contextLength),
		"llama.embedding_length":                 uint32(width),
		"llama.feed_forward_length":              uint32(hidden),
		"llama.attention.head_count":             uint32(heads),
		"llama.attention.head_count_kv":          uint32(heads),
		"llama.attention.layer_norm_rms_epsilon": float32(1e-5),
		"llama.rope.dimension_count":             uint32(width / heads),
		"llama.rope.freq_base":                   float32(10000),
		"llama.vocab_size":                       uint32(vocab),
		"tokenizer.ggml.model":                   "gpt2",
		"tokenizer.ggml.pre":                     "default",
		"tokenizer.ggml.tokens":                  tokens(),
		"tokenizer.ggml.token_type":              tokenTypes(),
		"tokenizer.ggml.merges":                  []string{},
		"tokenizer.ggml.bos_token_id":            uint32(bos),
		"tokenizer.ggml.eos_token_id":            uint32(eos),
	}
}

// tokens are the 256 bytes in GPT-2's printable spelling, then begin and end.
// Printable bytes stand for themselves, the others for code points from 256 up
// (bytes_to_unicode in https://github.com/openai/gpt-2/blob/master/src/encoder.py).
func tokens() []string {
	names := make([]string, 0, vocab)
	next := rune(256)
	for b := rune(0); b < 256; b++ {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			names = append(names, string(b))
			continue
		}
		names = append(names, string(next))
		next++
	}
	return append(names, "<s>", "</s>")
}

// tokenTypes marks begin and end as control tokens (3); the bytes are normal (1).
func tokenTypes() []int32 {
	types := make([]int32, vocab)
	for i := range types {
		types[i] = 1
	}
	types[bos], types[eos] = 3, 3
	return types
}

// weights are the values of one tensor.
type weights []float32

// WriteTo writes the values in GGUF's byte order.
func (w weights) WriteTo(out io.Writer) (int64, error) {
	return int64(4 * len(w)), binary.Write(out, binary.LittleEndian, []float32(w))
}

func tensors() []*ggml.Tensor {
	random := rand.New(rand.NewPCG(1, 2))
	matrix := func(name string, in, out int) *ggml.Tensor {
		values := make(weights, in*out)
		for i := range values {
			values[i] = float32(random.NormFloat64() * 0.05)
		}
		return &ggml.Tensor{Name: name, Shape: []uint64{uint64(in), uint64(out)}, WriterTo: values}
	}
	all := []*ggml.Tensor{steady(matrix("token_embd.weight", width, vocab)), lettersOnly(matrix("output.weight", width, vocab)), ones("output_norm.weight")}
	for i := range layers {
		block := fmt.Sprintf("blk.%d.", i)
		all = append(all,
			ones(block+"attn_norm.weight"), ones(block+"ffn_norm.weight"),
			matrix(block+"attn_q.weight", width, width), matrix(block+"attn_k.weight", width, width),
			matrix(block+"attn_v.weight", width, width), matrix(block+"attn_output.weight", width, width),
			matrix(block+"ffn_gate.weight", width, hidden), matrix(block+"ffn_up.weight", width, hidden),
			matrix(block+"ffn_down.weight", hidden, width))
	}
	return all
}

func ones(name string) *ggml.Tensor {
	values := make(weights, width)
	for i := range values {
		values[i] = 1
	}
	return &ggml.Tensor{Name: name, Shape: []uint64{width}, WriterTo: values}
}

// steady gives every token the same large first coordinate, which the residual
// stream carries to the output, where lettersOnly reads it.
func steady(embedding *ggml.Tensor) *ggml.Tensor {
	values := embedding.WriterTo.(weights)
	for token := range vocab {
		values[token*width] = 4
	}
	return embedding
}

// lettersOnly makes lower-case letters and the space likely and everything else,
// the end token included, practically impossible: answers are printable and as
// long as num_predict.
func lettersOnly(output *ggml.Tensor) *ggml.Tensor {
	values := output.WriterTo.(weights)
	for token := range vocab {
		values[token*width] = -8
		if token >= 'a' && token <= 'z' || token == ' ' {
			values[token*width] = 8
		}
	}
	return output
}
