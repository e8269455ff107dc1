import { CertError } from '../errors.js'
import { runProgram } from '../program.js'
import type { Challenge, ChallengeType, Solver } from './solver.js'

export interface ExecOptions {
  readonly answers: ChallengeType
  /** The words of the command that puts an answer in place. */
  readonly auth: readonly string[]
  /** The words of the one that takes it away. */
  readonly cleanUp: readonly string[] | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly settle?: Solver['settle']
}

// Setting a record and waiting for every name server takes minutes at some providers, in ms.
const longestRun = 10 * 60_000
const longestCleanUp = 60_000

/**
 * Answers challenges with commands of the user's, which get what certbot gives its manual hooks: `CERTBOT_DOMAIN`,
 * `CERTBOT_VALIDATION`, `CERTBOT_TOKEN` (http-01), `CERTBOT_REMAINING_CHALLENGES`, `CERTBOT_ALL_DOMAINS`, and for
 * cleaning up `CERTBOT_AUTH_OUTPUT`. As there, they run one after another.
 */
export const exec = ({ answers, auth, cleanUp, environment, settle }: ExecOptions): Solver => {
  const printed = new Map<Challenge, string>()
  let running: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = running.then(work, work)
    running = mine.catch(() => undefined)
    return mine
  }
  const variables = (challenge: Challenge, all: readonly Challenge[]) => ({
    ...environment,
    CERTBOT_DOMAIN: challenge.domain,
    CERTBOT_VALIDATION: challenge.value,
    CERTBOT_TOKEN: challenge.type === 'http-01' ? challenge.token : undefined,
    CERTBOT_ALL_DOMAINS: all.map(({ domain }) => domain).join(','),
    CERTBOT_REMAINING_CHALLENGES: String(all.length - 1 - all.indexOf(challenge)),
  })
  return {
    answers,
    needsAll: true,
    ...(settle && { settle }),
    present: (challenge, all, signal) =>
      inTurn(async () => {
        signal.throwIfAborted()
        const options = { environment: variables(challenge, all), timeout: longestRun, signal }
        const output = await named(challenge, runProgram(auth, options))
        printed.set(challenge, output.trim())
      }),
    cleanUp: (challenge, all, signal) =>
      inTurn(async () => {
        if (cleanUp === undefined) return
        const output = { CERTBOT_AUTH_OUTPUT: printed.get(challenge) ?? '' }
        const options = { environment: { ...variables(challenge, all), ...output }, timeout: longestCleanUp, signal }
        await named(challenge, runProgram(cleanUp, options))
      }),
  }
}

/** Says for which name the program was run. */
const named = async <T>({ domain }: Challenge, running: Promise<T>): Promise<T> => {
  try {
    return await running
  } catch (error) {
    if (!(error instanceof CertError) || error.code !== 'PROGRAM_FAILED') throw error
    throw new CertError(error.code, `${domain}: ${error.message}`, { hint: error.hint })
  }
}
