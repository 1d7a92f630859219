/** Characters of text, reasoning and arguments that one answer may hold, and tool calls. */
export const ANSWER_LIMITS = { characters: 4 << 20, toolCalls: 512 };
