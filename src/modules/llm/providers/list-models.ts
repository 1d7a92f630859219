/** What the usual listings also hold and nobody can chat with. */
const NOT_A_CHAT_MODEL =
  /embed|rerank|whisper|tts|dall-e|image|imagen|moderation|transcribe|realtime|audio|sora|veo|davinci|babbage|-instruct-0914|guard/i;
const MOST_MODELS = 1_000;

interface ListedModel {
  id?: unknown;
  name?: unknown;
  created?: unknown;
}

/**
 * The chat models that `url` lists, in the form of OpenAI, Anthropic and Ollama (`{data: [{id}]}`) or Google
 * (`{models: [{name}]}`). In the provider's order, but newest first where it dates all of them differently.
 */
export async function listModels(
  fetch: typeof globalThis.fetch,
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<string[]> {
  const response = await fetch(url, { headers, signal });
  if (!response.ok) throw new Error(`the list of models was answered with ${response.status}`);
  const body = (await response.json()) as { data?: unknown; models?: unknown } | null;
  const entries = body?.data ?? body?.models;
  if (!Array.isArray(entries)) throw new Error('the list of models is not a list');
  const models = (entries as (ListedModel | null)[]).slice(0, MOST_MODELS).flatMap((entry) => {
    const id = entry?.id ?? entry?.name;
    if (typeof id !== 'string' || id.length === 0 || id.length > 200) return [];
    return [{ id: id.replace(/^models\//, ''), created: typeof entry?.created === 'number' ? entry.created : 0 }];
  });
  const isDated = new Set(models.map((model) => model.created)).size === models.length;
  if (isDated) models.sort((a, b) => b.created - a.created);
  return models.map((model) => model.id).filter((id) => !NOT_A_CHAT_MODEL.test(id));
}
