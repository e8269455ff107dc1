import { chmod, mkdir, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CertError, systemCode } from '../errors.js'
import type { Challenge, Solver } from './solver.js'

export interface WebrootOptions {
  /** The folder that a web server on port 80 serves for every name of the certificate. */
  readonly folder: string
}

/** Answers http-01 with a file in the folder of a web server that is running already. */
export const webroot = ({ folder }: WebrootOptions): Solver => {
  const wellKnown = join(folder, '.well-known')
  /** What was not there before, the inner one first. */
  const made = new Set<string>()
  const makeReadable = async (path: string): Promise<void> => {
    try {
      await mkdir(path)
      made.add(path)
      // The web server may run as anybody, whatever our umask.
      await chmod(path, 0o755)
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error
    }
  }
  const fileOf = (challenge: Challenge) => join(wellKnown, 'acme-challenge', requireToken(challenge))
  const failed = (error: unknown): CertError =>
    new CertError(
      'SOLVER_FAILED',
      `the challenge's file cannot be written into ${folder}: ${systemCode(error) ?? String(error)}`,
      {
        cause: error,
        hint: 'check that --webroot is the folder that the web server serves, and that this user may write into it',
      },
    )
  return {
    answers: 'http-01',
    open: async () => {
      const found = await stat(folder).catch((error: unknown) => {
        throw failed(error)
      })
      if (!found.isDirectory()) throw failed(Object.assign(new Error('not a folder'), { code: 'ENOTDIR' }))
    },
    present: async (challenge) => {
      try {
        const file = fileOf(challenge)
        for (let tries = 1; ; tries++) {
          try {
            await makeReadable(wellKnown)
            await makeReadable(join(wellKnown, 'acme-challenge'))
            await writeFile(file, challenge.value, { mode: 0o644 })
            break
          } catch (error) {
            // Another run has just taken the folder away, since nothing was in it.
            if (systemCode(error) !== 'ENOENT' || tries === 5) throw error
          }
        }
        // The answer is no secret.
        await chmod(file, 0o644)
      } catch (error) {
        throw error instanceof CertError ? error : failed(error)
      }
    },
    cleanUp: async (challenge) => {
      await rm(fileOf(challenge), { force: true })
    },
    close: async () => {
      // Only if nobody else keeps anything in them.
      for (const path of [...made].reverse()) await rmdir(path).catch(() => undefined)
    },
  }
}

/** The token becomes a file's name, and comes from the CA: base64url and nothing else (RFC 8555, 8.3). */
const requireToken = ({ token }: Challenge): string => {
  if (!/^[A-Za-z0-9_-]{1,200}$/.test(token)) {
    throw new CertError('SOLVER_FAILED', 'the CA gave a token that is none (RFC 8555, 8.3)', { hint: 'check --ca' })
  }
  return token
}
