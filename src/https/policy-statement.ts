import { type JsonSpan, spansOfStatements } from './statement-spans.js'

/** The most bytes that OSS takes in one policy of a bucket. */
export const longestBucketPolicy = 16 * 1024

/** Why a text is no policy in which statements can be put and found. */
export type PolicyFlaw = 'not JSON' | 'without one list of statements'

/** A bucket's policy with its statements in the order in which they stand there. */
export interface ReadPolicy {
  readonly text: string
  readonly statements: readonly PlacedStatement[]
  /** Of the list, with its brackets. */
  readonly list: JsonSpan
}

interface PlacedStatement extends JsonSpan {
  readonly value: unknown
}

export const readPolicy = (text: string): ReadPolicy | PolicyFlaw => {
  let policy: unknown
  try {
    policy = JSON.parse(text)
  } catch {
    return 'not JSON'
  }
  if (!isObject(policy) || !Array.isArray(policy['Statement'])) return 'without one list of statements'
  const found = spansOfStatements(text)
  if (found === undefined) return 'without one list of statements'
  const values: readonly unknown[] = policy['Statement']
  return { text, list: found.list, statements: found.elements.map((span, i) => ({ ...span, value: values[i] })) }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Does a statement keep every visitor from every object by plain HTTP, whoever wrote it? It is known by what it says.
 * One with a further condition, for some users or for some objects is somebody else's, and means something else.
 */
export const deniesPlainHttp = (statement: unknown, bucket: string): boolean =>
  isObject(statement) &&
  Object.keys(statement).every((key) => knownKeys.includes(key)) &&
  statement['Effect'] === 'Deny' &&
  textsOf(statement['Principal']).includes('*') &&
  textsOf(statement['Action']).some((pattern) => matches(pattern.toLowerCase(), 'oss:getobject')) &&
  textsOf(statement['Resource']).some((pattern) => coversObjects(pattern, bucket)) &&
  isOfPlainHttpAlone(statement['Condition'])

/** Does it keep them from the bucket itself, too, so that nothing is left to add? */
const isWhole = (statement: unknown, bucket: string): boolean =>
  isObject(statement) &&
  deniesPlainHttp(statement, bucket) &&
  textsOf(statement['Resource']).some((pattern) => matches(bareOf(pattern), bucket))

// `NotAction` and its like turn a statement into its opposite; a key that is not known may do so, too.
const knownKeys = ['Sid', 'Effect', 'Principal', 'Action', 'Resource', 'Condition']

const isOfPlainHttpAlone = (condition: unknown): boolean => {
  if (!isObject(condition) || Object.keys(condition).length !== 1) return false
  const [[operator, keys] = []] = Object.entries(condition)
  if (operator?.toLowerCase() !== 'bool' || !isObject(keys)) return false
  const [[key, value] = [], ...others] = Object.entries(keys)
  const values = [value].flat()
  return (
    key?.toLowerCase() === 'acs:securetransport' &&
    others.length === 0 &&
    values.length > 0 &&
    values.every((one) => String(one).toLowerCase() === 'false')
  )
}

/** The vendor takes one text where a list of texts stands as well. */
const textsOf = (value: unknown): string[] => [value].flat().filter((one) => typeof one === 'string')

const bareOf = (resource: string): string => resource.replace(/^acs:oss:[^:]*:[^:]*:/, '')

/** All objects, whatever their keys: what ends with a star, and fits as soon as the bucket has been named. */
const coversObjects = (resource: string, bucket: string): boolean =>
  resource.endsWith('*') && matches(bareOf(resource), `${bucket}/`)

const matches = (pattern: string, text: string): boolean =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replace(/\*+/g, '.*')
      .replaceAll('?', '.')}$`,
    's',
  ).test(text)

/** Statements about plain HTTP that are somebody else's: they stay, and may deny it to some. */
export const otherDenials = (policy: ReadPolicy, bucket: string): number =>
  policy.statements.filter(
    ({ value }) =>
      isObject(value) &&
      value['Effect'] === 'Deny' &&
      /"acs:SecureTransport"/i.test(JSON.stringify(value['Condition'] ?? null)) &&
      !deniesPlainHttp(value, bucket),
  ).length

/** As it is written where none is: the account is a star, since nobody here knows it. */
export const denialFor = (bucket: string): string =>
  JSON.stringify({
    Effect: 'Deny',
    Principal: ['*'],
    Action: ['oss:*'],
    Resource: [`acs:oss:*:*:${bucket}`, `acs:oss:*:*:${bucket}/*`],
    Condition: { Bool: { 'acs:SecureTransport': ['false'] } },
  })

/** The policy with plain HTTP denied; the very same text where it is denied already. All else stays, to the byte. */
export const withDenial = (policy: ReadPolicy | undefined, bucket: string): string => {
  if (policy === undefined) return `{"Version":"1","Statement":[${denialFor(bucket)}]}`
  const { text, list, statements } = policy
  if (statements.some(({ value }) => isWhole(value, bucket))) return text
  const last = statements.at(-1)
  const before = statements.at(-2)
  const at = last?.end ?? list.start + 1
  // Indented as the one before it.
  const comma =
    last === undefined
      ? ''
      : before === undefined
        ? `,${text.slice(list.start + 1, last.start)}`
        : text.slice(before.end, last.start)
  return text.slice(0, at) + comma + denialFor(bucket) + text.slice(at)
}

/** The policy with plain HTTP no longer denied; null where nothing else was in it. All else stays, to the byte. */
export const withoutDenial = (policy: ReadPolicy, bucket: string): string | null => {
  const { text, statements } = policy
  const kept = statements.filter(({ value }) => !deniesPlainHttp(value, bucket))
  if (kept.length === statements.length) return text
  if (kept.length === 0) return null
  const parts = kept.map((one, i) => {
    const before = statements[statements.indexOf(one) - 1]
    const comma = i === 0 || before === undefined ? '' : text.slice(before.end, one.start)
    return comma + text.slice(one.start, one.end)
  })
  return text.slice(0, statements[0]?.start) + parts.join('') + text.slice(statements.at(-1)?.end)
}
