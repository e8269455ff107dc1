const hour = 60 * 60 * 1000
const day = 24 * hour

/**
 * When a certificate is to be renewed: after two thirds of its lifetime, but no earlier than 30 days before its end;
 * after half of it where that is less than ten days.
 */
export const renewalTime = (notBefore: Date, notAfter: Date): Date => {
  const lifetime = notAfter.getTime() - notBefore.getTime()
  const left = lifetime < 10 * day ? lifetime / 2 : Math.min(lifetime / 3, 30 * day)
  return new Date(notAfter.getTime() - left)
}
