// `issue-and-deploy` at a CA that misbehaves.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type IssueResult, openWorkplace, type Workplace } from './issue-command.js'
import type { RunOptions } from './run-command.js'
import { type CaReply, type StubCa, startStubCa } from './stub-ca.js'

export interface Trial {
  readonly ca: StubCa
  readonly place: Workplace
  readonly web: string
  /** Two names unless others are given; answers are put into the folder `web`. */
  run(more?: readonly string[], options?: RunOptions): Promise<IssueResult>
  /** Is nothing left of what was put in place, and nothing deployed? */
  isClean(): boolean
}

export const standard = ['-d', 'a.example.com', '-d', 'b.example.com', '--agree-tos', '--json']

export const setUp = async (t: Test, speaks: 'http' | 'https' | 'h2' = 'http'): Promise<Trial> => {
  const [ca, place] = await Promise.all([startStubCa(t, speaks), openWorkplace(t)])
  const [web, trusted] = [join(place.folder, 'web'), join(place.folder, 'ca.pem')]
  mkdirSync(web)
  writeFileSync(trusted, ca.caPem)
  const trust = speaks === 'http' ? [] : ['--ca-bundle', trusted]
  const words = [...standard, '--ca', ca.directoryUrl, ...trust, ...place.toFolder]
  return {
    ca,
    place,
    web,
    run: (more = [], options = {}) => {
      const solver = more.includes('--solver') ? [] : ['--solver', 'webroot', '--webroot', web]
      return place.run([...words, ...solver, ...more], { ...options, onStart: guarded(options.onStart) })
    },
    isClean: () => readdirSync(web).length === 0 && !existsSync(join(place.folder, 'out')),
  }
}

/** A run that never ends is a failure of its own. */
export const guarded =
  (onStart: RunOptions['onStart'] = () => undefined): NonNullable<RunOptions['onStart']> =>
  (child) => {
    const guard = setTimeout(() => child.kill('SIGKILL'), 30_000).unref()
    child.once('exit', () => clearTimeout(guard))
    onStart(child)
  }

export const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** Says why where it did not. */
export const succeeded = (t: Test, result: IssueResult, what = 'it succeeds'): void => {
  if (!t.equal(result.code, 0, what)) t.comment(told(result))
}

export const told = ({ json, stderr }: IssueResult): string => `${json.error?.message} ${json.error?.hint} ${stderr}`

export const html = (status: number): CaReply => ({
  status,
  headers: { 'content-type': 'text/html' },
  body: '<html><body><h1>Please log in to the conference wireless</h1></body></html>',
})
