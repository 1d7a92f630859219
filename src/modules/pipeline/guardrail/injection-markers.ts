import { INVISIBLE } from './text-views.js';
import type { Severity } from '../../pods/index.js';

/** Words or characters meant for a model that reads the work, in a text. */
export interface InjectionMatch {
  label: string;
  severity: Severity;
  start: number;
  end: number;
}

const W = String.raw`[\s,.:;"'*_-]{1,12}`;

/** Phrases are looked for in text without invisible characters. Every repetition has a bound. */
const PHRASES: readonly { label: string; severity: Severity; pattern: RegExp }[] = [
  {
    label: 'an order to ignore instructions',
    severity: 'high',
    pattern: new RegExp(
      String.raw`\b(?:ignore|disregard|forget|override|bypass)${W}(?:(?:all|any|every|each|of|the|your|my|our|these|those|and|other)${W}){0,5}(?:previous|prior|above|earlier|preceding|existing|original|initial|system|foregoing)${W}(?:(?:and|or|system|safety|security)${W}){0,3}(?:instructions?|prompts?|rules?|directions?|directives?|guidelines?|commands?|constraints?|messages?)\b`,
      'gi',
    ),
  },
  {
    label: 'an order to reveal a prompt',
    severity: 'high',
    pattern: new RegExp(
      String.raw`\b(?:(?:reveal|leak|disclose|exfiltrate)${W}(?:(?:me|us|all|of)${W}){0,3}(?:your|the)|(?:print|repeat|show|output|display)${W}(?:(?:me|us|all|of)${W}){0,3}your)${W}(?:(?:full|entire|complete|hidden|secret|exact)${W}){0,2}(?:system${W}prompts?|system${W}messages?|hidden${W}instructions?|initial${W}(?:prompts?|instructions?))\b`,
      'gi',
    ),
  },
  {
    label: 'an order to change roles',
    severity: 'high',
    pattern: new RegExp(
      String.raw`\byou${W}are${W}(?:now|no${W}longer)${W}(?:(?:in|a|an|the)${W}){0,2}(?:dan\b|developer${W}mode|jailbroken|unrestricted|unfiltered|bound${W}by)`,
      'gi',
    ),
  },
  {
    label: 'an order about the verdict',
    severity: 'high',
    pattern: new RegExp(
      String.raw`\b(?:guardrails?|evaluators?|judges?|llms?|ai${W}(?:models?|agents?|assistants?|reviewers?))${W}(?:(?:reading|processing|reviewing)${W}(?:this|it)${W})?(?:must|should|please|will|shall)${W}(?:always${W})?(?:approve${W}(?:this|it)|report${W}no${W}(?:findings?|issues?|problems?)|mark${W}(?:this|it)${W}(?:as${W})?(?:safe|passed|approved))\b`,
      'gi',
    ),
  },
  {
    label: 'a fake chat marker',
    severity: 'high',
    pattern:
      /<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|end_of_turn)\|>|<<\/?SYS>>|\[\/?INST\]|<(?:start|end)_of_turn>/gi,
  },
];

/** A picture whose address carries something out as soon as somebody's client shows it. */
const IMAGE =
  /!\[[^\]\n]{0,200}\]\(\s{0,4}<?(https?:\/\/[^\s)>]{1,2000})|<img\b[^>\n]{0,300}?\bsrc\s{0,4}=\s{0,4}["']?(https?:\/\/[^\s"'>]{1,2000})/gi;
const CARRIES =
  /[?&/](?:data|secrets?|tokens?|passwords?|keys?|prompts?|history|conversation|context|cookies?|env|payload|exfil\w*|leak\w*|content|msg|q)=|\$\{|\{\{|%7[bB]|<[a-z]|\[[A-Z_ ]{3,}\]|[?&][^=&#]{1,40}=[\w%+/=-]{60,}/i;
/** Hosts of badges; nobody reads what is sent to them. */
const BADGES =
  /^https?:\/\/(?:[\w-]{1,60}\.)?(?:shields\.io|badge\.fury\.io|codecov\.io|coveralls\.io|github\.com|githubusercontent\.com|travis-ci\.(?:com|org)|circleci\.com|gitlab\.com)\//i;

const TAGS = /[\u{e0020}-\u{e007f}]+/gu;
/** A flag of a region: the only use of tags that people make. */
const FLAG = /\u{1f3f4}[\u{e0020}-\u{e007e}]{1,6}\u{e007f}/gu;
const BIDI = /[\u202a-\u202e\u2066-\u2069]/g;
const HIDDEN_IN_WORD = /(?<=[A-Za-z])[\u00ad\u180e\u200b-\u200d\u2060-\u2064\ufeff]+(?=[A-Za-z])/g;
const SMUGGLED_BYTES = /[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]{4,}/gu;

/** Characters that hide text from people and not from models. */
export function findHiddenText(text: string): InjectionMatch[] {
  const flags = [...text.matchAll(FLAG)].map((match) => [match.index, match.index + match[0].length] as const);
  const inFlag = (offset: number): boolean => flags.some(([start, end]) => offset >= start && offset < end);
  const hidden: InjectionMatch[] = [];
  const add = (pattern: RegExp, label: string, severity: Severity): void => {
    for (const match of text.matchAll(pattern)) {
      if (pattern === TAGS && inFlag(match.index)) continue;
      hidden.push({ label, severity, start: match.index, end: match.index + match[0].length });
    }
  };
  add(TAGS, 'text in invisible tag characters', 'critical');
  add(SMUGGLED_BYTES, 'bytes hidden in variation selectors', 'critical');
  add(BIDI, 'a control character that reorders text', 'high');
  add(HIDDEN_IN_WORD, 'an invisible character inside a word', 'medium');
  return hidden;
}

/** Phrases, markers and pictures in text that has no invisible characters any more. */
export function findInjectionPhrases(plain: string): InjectionMatch[] {
  const found: InjectionMatch[] = [];
  for (const { label, severity, pattern } of PHRASES) {
    for (const match of plain.matchAll(pattern)) {
      found.push({ label, severity, start: match.index, end: match.index + match[0].length });
    }
  }
  for (const match of plain.matchAll(IMAGE)) {
    const url = match[1] ?? match[2] ?? '';
    if (BADGES.test(url) || !CARRIES.test(url)) continue;
    found.push({
      label: 'a picture that carries data to its host',
      severity: 'high',
      start: match.index,
      end: match.index + match[0].length,
    });
  }
  return found;
}

/** A piece of text for people: what nobody would see in it is written out, and it is short. */
export function legible(text: string, most = 120): string {
  return text
    .replace(INVISIBLE, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)
    .replace(/\s+/g, ' ')
    .slice(0, most);
}
