import { wildcard } from './wildcard.js'

/** Actions on resources; `*` and `?` are wildcards in both. */
export interface Statement {
  /** Such as `oss:PutObject` or `oss:*`. */
  readonly action: string | readonly string[]
  /** `bucket`, `bucket/prefix/*`, `*`, or the full RAM form `acs:oss:*:*:bucket/prefix/*`. */
  readonly resource: string | readonly string[]
}

export type Verdict = 'allowed' | 'implicit-deny' | 'explicit-deny'

const bare = (resource: string): string => resource.replace(/^acs:[^:]*:[^:]*:[^:]*:/, '')

const covers = (statement: Statement, action: string, resource: string): boolean =>
  [statement.action].flat().some((pattern) => wildcard(pattern.toLowerCase(), action.toLowerCase())) &&
  [statement.resource].flat().some((pattern) => wildcard(bare(pattern), resource))

/** RAM's rule: a matching Deny wins, then a matching Allow, else no. */
export const decide = (
  policy: { readonly allow: readonly Statement[]; readonly deny?: readonly Statement[] | undefined },
  action: string,
  resource: string,
): Verdict => {
  if (policy.deny?.some((statement) => covers(statement, action, resource))) return 'explicit-deny'
  return policy.allow.some((statement) => covers(statement, action, resource)) ? 'allowed' : 'implicit-deny'
}
