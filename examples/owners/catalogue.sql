-- What the pipeline's query reads: run it with `sqlite3 catalogue.db < catalogue.sql`.
CREATE TABLE services (name TEXT NOT NULL, repo TEXT NOT NULL, team TEXT NOT NULL, on_call TEXT, tier INTEGER NOT NULL,
                       retired INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (name, repo));
INSERT INTO services VALUES
  ('payments-api', 'acme/payments', 'Payments', '#payments-oncall', 1, 0),
  ('search', 'acme/search', 'Discovery', NULL, 2, 0),
  ('legacy-mailer', 'acme/mailer', 'Platform', NULL, 3, 1);
