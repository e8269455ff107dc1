/** Rights that go together, as RAM knows them. */
export interface Permission {
  /** Such as `oss:PutObject`. */
  readonly actions: readonly string[]
  /** Such as `acs:oss:*:*:my-ssl-certs/certs/*`. The region and the account are stars: whose policy it is says it. */
  readonly resources: readonly string[]
  /** Without it nothing is deployed; without others less is known, or less is safe. */
  readonly needed: boolean
  /** What it is for, without a name in it: the same purpose makes one statement, however many use it. */
  readonly why: string
}

export interface UsedPermission extends Permission {
  /** Who uses it, as the reader would name it. */
  readonly user: string
}

/** One statement of a policy, and what it is good for. */
export interface ExplainedStatement {
  readonly actions: readonly string[]
  readonly resources: readonly string[]
  readonly needed: boolean
  readonly why: string
  readonly users: readonly string[]
}

/** A policy as the RAM console takes it. */
export interface RamPolicy {
  readonly Version: '1'
  readonly Statement: readonly {
    readonly Effect: 'Allow'
    readonly Action: readonly string[]
    readonly Resource: readonly string[]
  }[]
}

/** The most characters that RAM takes in one policy. */
export const longestPolicy = 6144

export const ramPolicy = (statements: readonly ExplainedStatement[]): RamPolicy => ({
  Version: '1',
  Statement: statements.map(({ actions, resources }) => ({ Effect: 'Allow', Action: actions, Resource: resources })),
})

/** One action on one resource, with all that use it. */
interface Grant {
  readonly action: string
  readonly resource: string
  needed: boolean
  readonly whys: Set<string>
  readonly users: Set<string>
}

/**
 * The fewest statements that grant all of it and nothing else: no action twice on a resource, what is needed first, and
 * in an order of its own, so that the same targets always give the same policy.
 */
export const statementsOf = (permissions: readonly UsedPermission[]): ExplainedStatement[] => {
  const grants = withoutCovered(grantsOf(permissions))
  const ofResource = grouped(grants, (one) => JSON.stringify([one.needed, whyOf(one), one.resource]))
  const alike = grouped(ofResource, (group) => JSON.stringify([group[0].needed, whyOf(group[0]), actionsOf(group)]))
  return alike
    .map((groups): ExplainedStatement => {
      const [first] = groups[0]
      return {
        actions: actionsOf(groups[0]),
        resources: sorted(groups.map(([{ resource }]) => resource)),
        needed: first.needed,
        why: whyOf(first),
        users: sorted(groups.flatMap((group) => group.flatMap(({ users }) => [...users]))),
      }
    })
    .sort((a, b) => Number(b.needed) - Number(a.needed) || compare(keyOf(a), keyOf(b)))
}

/** By action, then by resource. */
const grantsOf = (permissions: readonly UsedPermission[]): Map<string, Map<string, Grant>> => {
  const all = new Map<string, Map<string, Grant>>()
  // What it is needed for is the first that is said of it.
  for (const one of [...permissions].sort((a, b) => Number(b.needed) - Number(a.needed))) {
    for (const action of one.actions) {
      const ofAction = all.get(action) ?? new Map<string, Grant>()
      all.set(action, ofAction)
      for (const resource of one.resources) {
        const grant = ofAction.get(resource) ?? { action, resource, needed: false, whys: new Set(), users: new Set() }
        ofAction.set(resource, grant)
        grant.needed ||= one.needed
        grant.whys.add(one.why)
        grant.users.add(one.user)
      }
    }
  }
  return all
}

/** A domain of its own beside all domains grants nothing more, unless it is needed and they are not. */
const withoutCovered = (all: ReadonlyMap<string, ReadonlyMap<string, Grant>>): Grant[] =>
  [...all.values()].flatMap((ofAction) =>
    [...ofAction.values()].filter((grant) => {
      const wider = widerThan(grant, ofAction)
      for (const user of grant.users) wider?.users.add(user)
      return wider === undefined
    }),
  )

/** The widest pattern that covers all that this one does; looked up by its text, since there may be thousands. */
const widerThan = ({ resource, needed }: Grant, ofAction: ReadonlyMap<string, Grant>): Grant | undefined => {
  for (let length = 0; length < resource.length; length++) {
    const pattern = `${resource.slice(0, length)}*`
    const wider = pattern === resource ? undefined : ofAction.get(pattern)
    if (wider !== undefined && (wider.needed || !needed)) return wider
  }
  return undefined
}

type Group<T> = [T, ...T[]]

const grouped = <T>(items: readonly T[], keyOf: (item: T) => string): Group<T>[] => {
  const groups = new Map<string, Group<T>>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return [...groups.values()]
}

const whyOf = ({ whys }: Grant): string => [...whys].sort(compare).join('; ')

const actionsOf = (group: Group<Grant>): string[] => sorted(group.map(({ action }) => action))

const keyOf = ({ actions, resources }: ExplainedStatement): string => [...actions, '', ...resources].join('\n')

const sorted = (texts: readonly string[]): string[] => [...new Set(texts)].sort(compare)

// By their code units: the same on every machine.
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
