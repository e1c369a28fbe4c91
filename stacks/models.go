package stacks

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
)

// modelFacts is what a model's memory is calculated from.
type modelFacts struct {
	// name in Ollama's library.
	name string
	// weights is the size of the library's file in decimal megabytes (4-bit
	// K-quants, but llama3.2:1b, which the library has in 8 bits).
	weights int
	// layers, kvHeads, headDim, embedding and vocabulary are the model's
	// published architecture (its config.json).
	layers, kvHeads, headDim, embedding, vocabulary int
	// inImage: only the embedded cluster has it, within the Ollama image.
	inImage bool
}

// tinyModel is made on the spot with random weights: it exercises the true
// path, not language.
const tinyModel = "caravan-tiny"

var models = []modelFacts{
	{name: tinyModel, weights: 11, layers: 4, kvHeads: 4, headDim: 64, embedding: 256, vocabulary: 258, inImage: true},
	{name: "qwen2.5:0.5b", weights: 398, layers: 24, kvHeads: 2, headDim: 64, embedding: 896, vocabulary: 151936},
	{name: "qwen2.5:1.5b", weights: 986, layers: 28, kvHeads: 2, headDim: 128, embedding: 1536, vocabulary: 151936},
	{name: "qwen2.5:3b", weights: 1930, layers: 36, kvHeads: 2, headDim: 128, embedding: 2048, vocabulary: 151936},
	{name: "qwen2.5:7b", weights: 4683, layers: 28, kvHeads: 4, headDim: 128, embedding: 3584, vocabulary: 152064},
	{name: "qwen2.5:14b", weights: 8988, layers: 48, kvHeads: 8, headDim: 128, embedding: 5120, vocabulary: 152064},
	{name: "qwen2.5:32b", weights: 19851, layers: 64, kvHeads: 8, headDim: 128, embedding: 5120, vocabulary: 152064},
	{name: "llama3.2:1b", weights: 1321, layers: 16, kvHeads: 8, headDim: 64, embedding: 2048, vocabulary: 128256},
	{name: "llama3.2:3b", weights: 2019, layers: 28, kvHeads: 8, headDim: 128, embedding: 3072, vocabulary: 128256},
	{name: "llama3.1:8b", weights: 4921, layers: 32, kvHeads: 8, headDim: 128, embedding: 4096, vocabulary: 128256},
}

// modelOf finds a model in the catalog.
func modelOf(name string) (modelFacts, bool) {
	i := slices.IndexFunc(models, func(m modelFacts) bool { return m.name == name })
	if i < 0 {
		return modelFacts{}, false
	}
	return models[i], true
}

const (
	// batch is the number of prompt tokens that Ollama evaluates at once (num_batch).
	batch = 512
	// deviceMiB is what Ollama 0.17 sets aside on each CUDA device for its
	// context (MinimumMemory in its ml/device.go).
	deviceMiB = 457
	// memoryStep is what memory is rounded up to: the figures are estimates.
	memoryStep = 64
)

// memory is what the model takes with this many slots of this context, in RAM
// or, on a GPU, in VRAM: the weights, the key-value cache, the graph's
// buffers, the device's context.
//
// The cache holds a key and a value of 16 bits for each layer, key-value head
// and dimension of every token. With flash attention, which llama.cpp turns on
// by itself, the graph's largest buffer is the batch's output in 32 bits:
// batch × (embedding + vocabulary). Both as in GraphSize of Ollama's fs/ggml.
func (m modelFacts) memory(slots, contextTokens int, gpu bool) resource.Quantity {
	weights := int64(m.weights) * 1_000_000
	cache := 2 * 2 * int64(m.layers*m.kvHeads*m.headDim) * int64(slots) * int64(contextTokens)
	graph := 4 * batch * int64(m.embedding+m.vocabulary)
	mib := int((weights+cache+graph)/mebi) + 1
	if gpu {
		mib += deviceMiB
	}
	return mebibytes((mib + memoryStep - 1) / memoryStep * memoryStep)
}
