import { type Check, failed, type Outcome, ok } from '../check.js'
import type { Situation } from '../situation.js'

/** As in package.json; a test holds the two together. */
export const oldestNode = '20.19.0'

export const programChecks = ({ program }: Situation): readonly Check[] => [
  { id: 'program', about: 'program', what: 'the program', run: async () => programOutcome(program) },
]

export const programOutcome = ({ version, node }: Situation['program']): Outcome =>
  isOlder(node, oldestNode)
    ? failed(
        `acme-oss ${version} runs on Node.js ${node}, which is older than ${oldestNode}`,
        'install a newer Node.js, then run ./install.sh again',
      )
    : ok(`acme-oss ${version} on Node.js ${node}`)

const isOlder = (version: string, other: string): boolean => {
  const [a, b] = [numbersOf(version), numbersOf(other)]
  const at = b.findIndex((part, i) => part !== (a[i] ?? 0))
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0)
}

const numbersOf = (version: string): number[] => version.replace(/^v/, '').split('.').map(Number)
