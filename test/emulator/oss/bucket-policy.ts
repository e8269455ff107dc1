import { wildcard } from '../wildcard.js'
import type { Bucket } from './bucket.js'

/** A request as a bucket's policy sees it. */
interface Asked {
  readonly action: string
  /** `bucket`, or `bucket/key`. */
  readonly resource: string
  readonly secure: boolean
}

interface Statement {
  readonly Effect?: unknown
  readonly Principal?: unknown
  readonly Action?: unknown
  readonly Resource?: unknown
  readonly Condition?: unknown
}

const textsOf = (value: unknown): readonly string[] => [value].flat().map(String)

/** What stands in a bucket by the operator's hand may be anything; that has no effect. */
const statementsOf = (policy: string | undefined): readonly Statement[] => {
  try {
    const { Statement: statements } = JSON.parse(policy ?? '{}')
    return Array.isArray(statements) ? statements : []
  } catch {
    return []
  }
}

/** Of the conditions only `Bool` of `acs:SecureTransport` is understood; any other is never fulfilled. */
const isFulfilled = (condition: unknown, secure: boolean): boolean =>
  Object.entries(condition ?? {}).every(([operator, keys]) =>
    Object.entries(keys ?? {}).every(
      ([key, values]) =>
        operator === 'Bool' && key === 'acs:SecureTransport' && textsOf(values).includes(secure ? 'true' : 'false'),
    ),
  )

const bare = (resource: string): string => resource.replace(/^acs:oss:[^:]*:[^:]*:/, '')

const isForEverybody = ({ Principal }: Statement): boolean => textsOf(Principal).includes('*')

/** Does the policy deny this to everybody? What it says of single users is not looked at. */
export const isDenied = (policy: string | undefined, { action, resource, secure }: Asked): boolean =>
  statementsOf(policy).some(
    (one) =>
      one.Effect === 'Deny' &&
      isForEverybody(one) &&
      textsOf(one.Action).some((pattern) => wildcard(pattern.toLowerCase(), action.toLowerCase())) &&
      textsOf(one.Resource).some((pattern) => wildcard(bare(pattern), resource)) &&
      isFulfilled(one.Condition, secure),
  )

/** Does a policy let everybody in? */
export const isOpen = ({ policyPublic, policy }: Bucket): boolean =>
  policyPublic ||
  statementsOf(policy).some((one) => one.Effect === 'Allow' && isForEverybody(one) && one.Condition === undefined)

const mandatory = ['Effect', 'Principal', 'Action', 'Resource'] as const

/** Why it is no policy; undefined where it is one. */
export const flawOf = (text: string): string | undefined => {
  if (Buffer.byteLength(text) > 16 * 1024) return 'policy is too long'
  let policy: { readonly Version?: unknown; readonly Statement?: unknown } | null
  try {
    policy = JSON.parse(text)
  } catch {
    return 'policy is not JSON'
  }
  if (policy?.Version !== '1') return 'unsupported Version'
  const { Statement: statements } = policy
  if (!Array.isArray(statements) || statements.length === 0) return 'no Statement'
  const missing = mandatory.find((name) => statements.some((one: Statement | null) => one?.[name] === undefined))
  if (missing !== undefined) return `a statement has no ${missing}`
  return statements.every(({ Effect }: Statement) => Effect === 'Allow' || Effect === 'Deny') ? undefined : 'bad Effect'
}
