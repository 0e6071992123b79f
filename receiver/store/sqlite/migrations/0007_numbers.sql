-- A number is looked up in whatever form it is written: the keys of `to` (1) and of the sender (3)
-- are the comparable ones of receiver/dlr/number.py from here on. Most are already. A key that was
-- cut off is no number: none is so long.
CREATE TEMP TABLE compared_key AS
WITH RECURSIVE written (block, field, key, report, text) AS MATERIALIZED (
    SELECT block, field, key, report, replace(replace(replace(lower(key), ' ', ''), '-', ''), '.', '')
    FROM search_key
    WHERE field IN (1, 3) AND length(key) <= 40
        AND (key GLOB '*[^0-9]*' OR key GLOB '00*')
        -- Names are many, and are left as they are.
        AND (key NOT GLOB '*[A-Za-z]*' OR key GLOB '*[tT][eE][lL]:*')
),
-- The gaps that are not ASCII, and control characters: few keys have any.
gap (number, text) AS MATERIALIZED (
    SELECT key, char(value) FROM json_each('[
        9, 10, 11, 12, 13, 28, 29, 30, 31, 133, 160, 173, 5760, 8192, 8193, 8194, 8195,
        8196, 8197, 8198, 8199, 8200, 8201, 8202, 8203, 8204, 8205, 8206, 8207, 8208,
        8209, 8210, 8211, 8212, 8213, 8232, 8233, 8234, 8235, 8236, 8237, 8238, 8239,
        8287, 8288, 8294, 8295, 8296, 8297, 8722, 12288
    ]')
),
without_gap (block, field, key, report, text, number) AS (
    SELECT *, 0 FROM written WHERE text GLOB '*[^!-~]*'
    UNION ALL
    SELECT block, field, key, report, replace(without_gap.text, gap.text, ''), number + 1
    FROM without_gap JOIN gap USING (number)
),
squeezed (block, field, key, report, text) AS (
    SELECT * FROM written WHERE text NOT GLOB '*[^!-~]*'
    UNION ALL
    SELECT block, field, key, report, text FROM without_gap
    WHERE number = (SELECT count(*) FROM gap)
),
named (block, field, key, report, is_uri, text) AS (
    SELECT block, field, key, report, text LIKE 'tel:%',
        CASE WHEN text LIKE 'tel:%' THEN substr(text, 5, instr(text || ';', ';') - 5) ELSE text END
    FROM squeezed
),
plain (block, field, key, report, certain, text) AS (
    SELECT block, field, key, report, is_uri OR replace(text, '(', '') LIKE '+%',
        replace(replace(
            iif(replace(text, '(', '') GLOB '[+]*' OR replace(text, '(', '') GLOB '00*',
                replace(text, '(0)', ''), text),
            '(', ''), ')', '')
    FROM named
),
unmarked (block, field, key, report, certain, text) AS (
    SELECT block, field, key, report, certain, iif(text LIKE '+%', substr(text, 2), text)
    FROM plain
),
digits (block, field, key, report, certain, text) AS (
    SELECT block, field, key, report, certain,
        CASE WHEN text LIKE '0000%' THEN substr(text, 5)
            WHEN text LIKE '00%' THEN substr(text, 3) ELSE text END
    FROM unmarked
)
SELECT block, field, key, report, text AS compared FROM digits
WHERE text <> '' AND text <> key AND text NOT GLOB '*[^0-9]*' AND (certain OR length(text) >= 7);
INSERT OR IGNORE INTO search_key SELECT block, field, compared, report FROM compared_key;
DELETE FROM search_key WHERE (block, field, key, report) IN
    (SELECT block, field, key, report FROM compared_key);
DROP TABLE compared_key;
